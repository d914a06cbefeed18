//! A case's text: prose and fenced blocks, kept so that it can be written back.

/// One case.
pub(crate) struct Case {
    /// The prose before each block, and after the last; one more than there are blocks.
    prose: Vec<String>,
    /// The blocks, in order.
    pub(crate) fences: Vec<Fence>,
}

/// A fenced block.
#[derive(Clone)]
pub(crate) struct Fence {
    /// The first word behind the backticks.
    pub(crate) kind: String,
    /// The other words: `key=value` or `flag`.
    words: Vec<String>,
    /// The line that the first line of its text stands on.
    pub(crate) line: usize,
    /// The text between the fences, every line ended.
    pub(crate) text: String,
    ticks: String,
}

impl Case {
    /// Reads a case. An error names the line of a block that is never closed.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut case = Self { prose: vec![String::new()], fences: Vec::new() };
        let mut open: Option<Fence> = None;
        for (number, line) in text.lines().enumerate() {
            let ticks = line.len() - line.trim_start_matches('`').len();
            match open.take() {
                Some(fence) if line == fence.ticks => {
                    case.fences.push(fence);
                    case.prose.push(String::new());
                }
                Some(mut fence) => {
                    fence.text.push_str(line);
                    fence.text.push('\n');
                    open = Some(fence);
                }
                None if ticks >= 3 => open = Some(Fence::new(&line[..ticks], &line[ticks..], number + 2)),
                None => {
                    let prose = case.prose.last_mut().ok_or("no prose")?;
                    prose.push_str(line);
                    prose.push('\n');
                }
            }
        }
        match open {
            Some(fence) => Err(format!("the block of line {} is never closed", fence.line - 1)),
            None => Ok(case),
        }
    }

    /// The case as text.
    pub(crate) fn text(&self) -> String {
        let mut text = self.prose[0].clone();
        for (fence, prose) in self.fences.iter().zip(&self.prose[1..]) {
            let words: String = fence.words.iter().map(|word| format!(" {word}")).collect();
            let end = if fence.text.is_empty() || fence.text.ends_with('\n') { "" } else { "\n" };
            text.push_str(&format!("{0}{1}{words}\n{2}{end}{0}\n{prose}", fence.ticks, fence.kind, fence.text));
        }
        text
    }
}

impl Fence {
    fn new(ticks: &str, info: &str, line: usize) -> Self {
        let mut words = info.split_whitespace().map(str::to_owned);
        let kind = words.next().unwrap_or_default();
        Self { kind, words: words.collect(), line, text: String::new(), ticks: ticks.to_owned() }
    }

    /// The value of `key=value`.
    pub(crate) fn value(&self, key: &str) -> Option<&str> {
        self.words.iter().find_map(|word| word.strip_prefix(key)?.strip_prefix('='))
    }

    /// Whether a word stands alone.
    pub(crate) fn has(&self, flag: &str) -> bool {
        self.words.iter().any(|word| word == flag)
    }

    /// The text as a file would hold it: `crlf` ends lines as Windows does, `bom` puts a mark first, `open` leaves out
    /// the last line end.
    pub(crate) fn source(&self) -> String {
        let text = if self.has("open") { self.text.trim_end_matches('\n') } else { &self.text };
        let text = if self.has("crlf") { text.replace('\n', "\r\n") } else { text.to_owned() };
        if self.has("bom") { format!("\u{feff}{text}") } else { text }
    }
}

/// What was expected and what came out, from the first line that differs on.
pub(crate) fn difference(fence: &Fence, actual: &str) -> String {
    let (expected, actual): (Vec<_>, Vec<_>) = (fence.text.lines().collect(), actual.lines().collect());
    let same = expected.iter().zip(&actual).take_while(|(one, other)| one == other).count();
    let part = |lines: &[&str], sign: char| -> String {
        lines[same.min(lines.len())..].iter().map(|line| format!("{sign} {line}\n")).collect()
    };
    let (minus, plus) = (part(&expected, '-'), part(&actual, '+'));
    format!("line {}, `{}` differs:\n{minus}{plus}", fence.line + same, fence.kind)
}
