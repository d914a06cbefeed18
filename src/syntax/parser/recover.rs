//! The long way through a text with mistakes: tell one, mend it in a draft, read again.
//!
//! First what is wrong wherever it stands (strings, foreign characters, brackets), then, statement by statement at the
//! top, what pest stops at. Where the words cannot be mended, reading goes on behind the clause; where that does not help, the
//! statement is taken away and its inner blocks are read in its place. So a mistake is told once and hides nothing.

use std::ops::Range;

use super::draft::Draft;
use super::mistakes::{self, Mistake, Spot, Then};
use super::scan::{Bracket, CLAUSE_WORDS, Kind, Token, is_reserved};
use super::tree::{Builder, Piece, Statements};
use super::{Failure, Rule, brackets, first_pair};
use crate::diagnostic::Diagnostic;
use crate::source::FileId;

/// How often one piece is read again before what is left of it is given up.
const MAX_ROUNDS: usize = 64;

/// Reads what can be read of a text that the grammar refuses.
pub(super) fn recover(file: FileId, text: &str) -> (Statements, Vec<Diagnostic>) {
    let mut draft = Draft::new(file, text);
    brackets::mend_strings(&mut draft);
    mistakes::lexical::mend(&mut draft);
    brackets::mend_brackets(&mut draft);
    let mut statements = Statements::default();
    for range in pieces(&draft) {
        let after = following_word(&draft, range.end).to_owned();
        let mut piece = draft.piece(range);
        read_piece(&mut piece, &after, &mut statements);
        draft.told = piece.told;
    }
    (statements, draft.told)
}

/// Cuts a text before each word at the top that can only begin a statement: no mistake reaches over such a place.
fn pieces(draft: &Draft) -> Vec<Range<usize>> {
    let mut cuts = vec![0];
    let mut depth = 0_usize;
    let mut docs = None;
    for (index, token) in draft.tokens().iter().enumerate() {
        match token.kind {
            Kind::Open(_) => depth += 1,
            Kind::Close(_) => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 && draft.begins_surely(index) {
            cuts.push(docs.unwrap_or(token.start));
        }
        docs = (token.kind == Kind::Doc).then(|| docs.unwrap_or(token.start));
    }
    cuts.dedup();
    // What documents the file stands before its first statement and is read with it.
    if cuts.len() > 1 && draft.tokens().first().is_some_and(|first| first.start >= cuts[1]) {
        cuts.remove(1);
    }
    let ends = cuts[1..].iter().copied().chain([draft.text().len()]);
    cuts.iter().copied().zip(ends).map(|(start, end)| start..end).collect()
}

fn following_word(draft: &Draft, at: usize) -> &str {
    let index = draft.tokens().partition_point(|token| token.start < at);
    draft.word(index)
}

/// Reads a piece, again and again, until the grammar gets through.
fn read_piece(draft: &mut Draft, after: &str, statements: &mut Statements) {
    let mut hurt = Vec::new();
    for _ in 0..MAX_ROUNDS {
        let mut failure = match build(draft, statements) {
            Ok(found) => return found.into_iter().for_each(|diagnostic| draft.tell(diagnostic)),
            Err(failure) => failure,
        };
        failure.place -= keep_beginning(draft, failure.place, statements);
        mend(draft, &failure, after, &mut hurt);
        draft.rescan();
    }
}

/// Adds the statements of a draft that the grammar takes as a whole; what the tree has to say comes back.
fn build(draft: &Draft, statements: &mut Statements) -> Result<Vec<Diagnostic>, Failure> {
    let rule = if draft.base == 0 { Rule::playbook } else { Rule::remainder };
    let root = first_pair(rule, draft.text())?;
    let silenced = draft.silent_to_tree();
    let piece = Piece { base: draft.base, text: draft.text(), tokens: draft.tokens(), silenced: &silenced };
    let mut builder = Builder::new(draft.file, draft.length, piece);
    builder.file(root, statements);
    Ok(builder.diagnostics)
}

/// Takes what stands before the failing statement out of the draft, so that it is not read once more with every
/// mistake behind it. Returns how much that was.
fn keep_beginning(draft: &mut Draft, place: usize, statements: &mut Statements) -> usize {
    let layout = Layout::of(draft.tokens());
    let at = draft.tokens().partition_point(|token| token.end <= place);
    let cut = layout.top_start(draft, at).map_or(0, |index| draft.tokens()[index].start);
    if cut == 0 {
        return 0;
    }
    let mut beginning = draft.piece(0..cut);
    let built = build(&beginning, statements);
    let kept = if built.is_ok() { cut } else { 0 };
    built.unwrap_or_default().into_iter().for_each(|diagnostic| beginning.tell(diagnostic));
    draft.told = beginning.told;
    *draft = draft.piece(kept..draft.text().len());
    kept
}

/// Tells what is wrong where pest stopped, and changes the draft so that it gets further.
fn mend(draft: &mut Draft, failure: &Failure, after: &str, hurt: &mut Vec<Hurt>) {
    if draft.is_full() {
        return draft.blank(0..draft.text().len());
    }
    let layout = Layout::of(draft.tokens());
    let spot = Spot::new(draft, &layout, failure, after);
    let (at, statement) = (spot.at, spot.statement.clone());
    let start = draft.base + draft.tokens().get(statement.start).map_or(0, |token| token.start);
    // What stands right behind something that was taken away may be wrong for that reason alone.
    let before = draft.base + at.checked_sub(1).map_or(0, |before| draft.tokens()[before].start);
    let is_hurt = hurt.iter().any(|hurt| hurt.statement == start);
    let is_fresh = !hurt.iter().any(|hurt| hurt.statement == start && before < hurt.end);
    let mistake = mistakes::find(&spot, is_fresh);
    let is_told = mistake.is_some();
    let then = match mistake {
        Some(Mistake { diagnostic, then }) => {
            draft.tell(diagnostic);
            then
        }
        None => Then::PastStatement,
    };
    let from = if let Then::PastClauseOf(index) = then { index } else { at };
    let then = match then {
        Then::Mended(edits) if apply(draft, &edits) => return,
        Then::Mended(_) => Then::PastClause,
        other => other,
    };
    halve(draft, &layout, &statement);
    let blanked = match then {
        Then::PastStatement => None,
        _ => blank_clause(draft, &layout, &statement, from),
    };
    match blanked {
        // A clause after the other, but not for ever: what is not told is not worth another round.
        Some(end) if is_told || !is_hurt => hurt.push(Hurt { statement: start, end: draft.base + end }),
        _ => blank_statement(draft, &layout, &statement),
    }
}

/// A statement of which something was taken away, up to some place.
struct Hurt {
    statement: usize,
    end: usize,
}

/// Whether the edits changed anything.
fn apply(draft: &mut Draft, edits: &[(Range<usize>, String)]) -> bool {
    let before = draft.text().to_owned();
    for (range, text) in edits {
        draft.write(range.clone(), text);
    }
    before != draft.text()
}

/// What the tree would say about a statement that is only half there is not said.
fn halve(draft: &mut Draft, layout: &Layout, statement: &Range<usize>) {
    for run in layout.own_runs(statement) {
        let range = draft.tokens()[run.start].start..draft.tokens()[run.end - 1].end;
        draft.halve(range);
    }
}

/// Takes away what pest could not read: what stands in the innermost brackets, or what reaches up to the next clause or block.
/// Returns where that ends, if there was anything to take.
fn blank_clause(draft: &mut Draft, layout: &Layout, statement: &Range<usize>, at: usize) -> Option<usize> {
    if at >= statement.end {
        return None;
    }
    let tokens = draft.tokens();
    if let Some(opener) = layout.bracket[at].filter(|opener| tokens[*opener].kind != Kind::Open(Bracket::Brace)) {
        let from = tokens[opener].end;
        let closer = (at..statement.end).find(|index| layout.partner[*index] == Some(opener));
        let to = closer.map_or(from, |closer| tokens[closer].start);
        // Any expression serves in place of the one that could not be read.
        if to > from {
            draft.write(from..to, "0");
        }
        return (to > from).then_some(to);
    }
    let is_end = |index: &usize| {
        let is_beside = layout.bracket[*index] == layout.bracket[at] && tokens[*index].kind == Kind::Word;
        let is_misspelt = tokens[*index].first && mistakes::is_nearly_clause(draft.word(*index));
        let is_clause = is_beside && (CLAUSE_WORDS.contains(&draft.word(*index)) || is_misspelt);
        tokens[*index].kind == Kind::Open(Bracket::Brace) || is_clause && *index > at
    };
    let end = (at..statement.end).find(is_end).unwrap_or(statement.end);
    if end == at {
        return None;
    }
    let to = tokens[end - 1].end;
    draft.blank(tokens[at].start..to);
    Some(to)
}

/// Takes a statement away, but leaves what stands in its blocks.
fn blank_statement(draft: &mut Draft, layout: &Layout, statement: &Range<usize>) {
    for run in layout.own_runs(statement) {
        let range = draft.tokens()[run.start].start..draft.tokens()[run.end - 1].end;
        draft.blank(range);
    }
    // In the place where they come to stand they would be said to come too late.
    let policies = statement.clone().filter(|index| draft.word(*index) == "on" && draft.begins_surely(*index));
    let policies: Vec<_> = policies.map(|index| draft.tokens()[index].range()).collect();
    for range in policies {
        draft.silence(range);
    }
}

/// What stands in what, by the brackets; they pair when this is asked.
pub(super) struct Layout {
    /// Of each token the innermost bracket that it stands in.
    pub(super) bracket: Vec<Option<usize>>,
    /// Of each token the innermost `{` that it stands in.
    block: Vec<Option<usize>>,
    /// Of each closer its opener.
    partner: Vec<Option<usize>>,
}

impl Layout {
    pub(super) fn of(tokens: &[Token]) -> Self {
        let mut layout = Self { bracket: Vec::new(), block: Vec::new(), partner: Vec::new() };
        let mut open = Vec::new();
        let mut blocks = Vec::new();
        for (index, token) in tokens.iter().enumerate() {
            let mut partner = None;
            if let Kind::Close(bracket) = token.kind {
                partner = open.pop();
                if bracket == Bracket::Brace {
                    blocks.pop();
                }
            }
            layout.partner.push(partner);
            layout.bracket.push(open.last().copied());
            layout.block.push(blocks.last().copied());
            if let Kind::Open(bracket) = token.kind {
                open.push(index);
                if bracket == Bracket::Brace {
                    blocks.push(index);
                }
            }
        }
        layout
    }

    /// The innermost statement around a token, as a range of tokens. What stands right before something that begins or
    /// ends is the one that is not finished.
    /// `within`: a plain word at that place does not begin a statement.
    pub(super) fn statement(&self, draft: &Draft, at: usize, within: bool) -> Range<usize> {
        let tokens = draft.tokens();
        let is_beyond = tokens.get(at).is_none_or(|token| token.kind == Kind::Close(Bracket::Brace));
        let is_next =
            self.bracket.get(at).is_some_and(|bracket| *bracket == self.block[at]) && draft.begins_statement(at);
        let anchor = if is_beyond || is_next { at.saturating_sub(1) } else { at };
        let Some(block) = self.block.get(anchor).copied() else { return 0..tokens.len() };
        let floor = block.map_or(0, |opener| opener + 1);
        let is_start =
            |index: usize| self.is_start(draft, index, block) && (!within || index != at || draft.begins_statement(at));
        let mut start = (floor..=anchor).rev().find(|index| is_start(*index)).unwrap_or(floor);
        while start > floor && tokens[start - 1].kind == Kind::Doc {
            start -= 1;
        }
        // Before the block of a `rollout` come clauses, whatever they look like.
        let word =
            (start..=anchor).find(|index| tokens[*index].kind != Kind::Doc).map_or("", |index| draft.word(index));
        let has_block = matches!(word, "rollout" | "group" | "parallel" | "if" | "task");
        let mut in_header = has_block && !(start..=anchor).any(|index| self.is_block_of(draft, index, block));
        let ceiling = (anchor + 1..tokens.len()).find(|index| {
            in_header &= !self.is_block_of(draft, *index, block);
            let is_end = block.is_some() && self.partner[*index] == block;
            is_end || if in_header { self.begins_surely(draft, *index, block) } else { is_start(*index) }
        });
        start..ceiling.unwrap_or(tokens.len())
    }

    /// The token that closes what another opens.
    pub(super) fn closer(&self, opener: usize) -> Option<usize> {
        self.partner.iter().position(|partner| *partner == Some(opener))
    }

    fn is_block_of(&self, draft: &Draft, index: usize, block: Option<usize>) -> bool {
        draft.tokens()[index].kind == Kind::Open(Bracket::Brace) && self.block[index] == block
    }

    fn begins_surely(&self, draft: &Draft, index: usize, block: Option<usize>) -> bool {
        self.block[index] == block && self.bracket[index] == block && draft.begins_surely(index)
    }

    /// The statement at the top that a token stands in, or that is not finished before it.
    fn top_start(&self, draft: &Draft, at: usize) -> Option<usize> {
        let at = (0..at.min(self.block.len())).rev().find(|index| self.block[*index].is_none())?;
        Some(self.statement(draft, at, false).start)
    }

    /// Whether a statement of that block seems to begin at a token.
    fn is_start(&self, draft: &Draft, index: usize, block: Option<usize>) -> bool {
        if self.block[index] != block || self.bracket[index] != block {
            return false;
        }
        let word = draft.word(index);
        let is_plain = draft.tokens()[index].kind == Kind::Word && !CLAUSE_WORDS.contains(&word) && !is_reserved(word);
        draft.begins_statement(index) || is_plain && draft.may_begin_here(index)
    }

    /// The tokens of a statement that stand in none of its blocks, in runs.
    fn own_runs(&self, statement: &Range<usize>) -> Vec<Range<usize>> {
        let Some(block) = self.block.get(statement.start) else { return Vec::new() };
        let mut runs: Vec<Range<usize>> = Vec::new();
        for index in statement.clone().filter(|index| self.block[*index] == *block) {
            match runs.last_mut() {
                Some(run) if run.end == index => run.end = index + 1,
                _ => runs.push(index..index + 1),
            }
        }
        runs
    }
}
