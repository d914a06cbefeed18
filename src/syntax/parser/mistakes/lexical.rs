//! What is wrong wherever it stands: characters, quotes, comments, operators and numbers that the language does not have.
//!
//! A habit such as `;` comes in numbers: it is told once, with how often, and mended everywhere.

use crate::diagnostic::Diagnostic;
use crate::syntax::parser::brackets;
use crate::syntax::parser::draft::Draft;
use crate::syntax::parser::is_numeric;
use crate::syntax::parser::literal::{duration_parts, duration_sum, duration_text};
use crate::syntax::parser::scan::{Bracket, Kind, Token};

/// Tells and mends them all.
pub(in crate::syntax::parser) fn mend(draft: &mut Draft) {
    let tokens = draft.tokens().to_vec();
    mend_habits(draft, &tokens);
    let mut strings = Vec::new();
    let mut behind = 0;
    for (index, token) in tokens.iter().enumerate().filter(|(_, token)| token.kind != Kind::Chars) {
        match token.kind {
            _ if token.start < behind => {}
            Kind::Open(bracket @ (Bracket::Quote | Bracket::Backtick)) => strings.push(bracket),
            Kind::Close(Bracket::Quote | Bracket::Backtick) => drop(strings.pop()),
            Kind::Alien if !strings.is_empty() => {
                behind = mend_shell(draft, &tokens, index, strings.last() == Some(&Bracket::Backtick));
            }
            Kind::Alien => mend_alien(draft, token),
            Kind::Op => mend_operator(draft, &tokens, index),
            Kind::Number if !is_numeric(&draft.text()[token.range()]) => mend_number(draft, token),
            _ => {}
        }
    }
    draft.rescan();
}

// ----- habits

/// Something that a person who is used to another language writes again and again.
struct Habit {
    is_it: fn(&Token, &str) -> bool,
    code: &'static str,
    message: fn(&str) -> String,
    help: &'static str,
    mend: fn(&mut Draft, &Token),
}

const HABITS: [Habit; 5] = [
    Habit {
        is_it: |token, text| token.kind == Kind::Op && text == ";",
        code: "E021",
        message: |_| "statements do not end in `;`".to_owned(),
        help: "leave it out: a statement ends where the next one begins",
        mend: |draft, token| draft.blank(token.range()),
    },
    Habit {
        is_it: |token, text| token.kind == Kind::ForeignComment && text.starts_with('#'),
        code: "E009",
        message: |_| "a comment begins with `//`, not with `#`".to_owned(),
        help: "write `// …`",
        mend: |draft, token| draft.blank(token.range()),
    },
    Habit {
        is_it: |token, text| token.kind == Kind::ForeignComment && text.starts_with('/'),
        code: "E009",
        message: |_| "a comment begins with `//` and ends with its line".to_owned(),
        help: "write `//` before each line; there is no `/* … */`",
        mend: |draft, token| draft.blank(token.range()),
    },
    Habit {
        is_it: |token, _| token.kind == Kind::Misquoted,
        code: "E009",
        message: |text| match text.chars().next() {
            Some('\'') => "a string stands in `\"…\"`, not in `'…'`".to_owned(),
            _ => "a string stands in plain quotes `\"…\"`, not in typographic ones".to_owned(),
        },
        help: "write \"…\"",
        mend: |draft, token| {
            let text = &draft.text()[token.range()];
            if text.len() > 1 && text.ends_with(['\'', '’', '”', '“']) {
                draft.write(token.range(), "\"\"");
            } else {
                brackets::close_on_its_line(draft, token.range(), "\"");
            }
        },
    },
    Habit {
        is_it: |token, _| token.kind == Kind::BadEscape,
        code: "E008",
        message: |text| match text.len() {
            1 => "a string cannot end in a single `\\`".to_owned(),
            _ => format!("a string has no escape `{}`", text.escape_debug().to_string().replace("\\\\", "\\")),
        },
        help: "the escapes are `\\\"` `\\\\` `\\n` `\\t` `\\$`; a backslash itself is `\\\\`, and in backticks every backslash is one",
        mend: |draft, token| draft.blank(token.range()),
    },
];

fn mend_habits(draft: &mut Draft, tokens: &[Token]) {
    for habit in HABITS {
        let found: Vec<_> =
            tokens.iter().filter(|token| (habit.is_it)(token, &draft.text()[token.range()])).copied().collect();
        let Some(first) = found.first() else { continue };
        let message = (habit.message)(&draft.text()[first.range()]);
        let more = match found.len() - 1 {
            0 => String::new(),
            more => format!("and {more} more in this file"),
        };
        draft.tell(Diagnostic::error(habit.code, message).at(draft.span(&first.range()), more).help(habit.help));
        for token in &found {
            (habit.mend)(draft, token);
        }
    }
}

// ----- characters and operators

/// `${arr[@]}` and the like; what is in the braces is left out. Returns where they end.
fn mend_shell(draft: &mut Draft, tokens: &[Token], index: usize, raw: bool) -> usize {
    let is = |token: &&Token, kind: Kind| token.kind == kind;
    let opener = tokens[..index].iter().rfind(|token| is(token, Kind::Open(Bracket::Interpolation)));
    let closer = tokens[index..].iter().find(|token| is(token, Kind::Close(Bracket::Interpolation)));
    let (Some(opener), Some(closer)) = (opener, closer) else { return tokens[index].end };
    let message = format!("`{}` has no meaning in an expression", &draft.text()[tokens[index].range()]);
    let error = Diagnostic::error("E009", message).at(draft.span(&tokens[index].range()), "");
    draft.tell(error.help(brackets::shell_help(raw)));
    draft.write(opener.end..closer.start, "0");
    closer.start
}

fn mend_alien(draft: &mut Draft, token: &Token) {
    let text = &draft.text()[token.range()];
    let char = text.chars().next().unwrap_or(' ');
    let (message, help) = match char {
        '\u{a0}' | '\u{2000}'..='\u{200b}' | '\u{202f}' | '\u{2060}' | '\u{3000}' | '\u{feff}' => (
            format!("a blank that is no plain space (U+{:04X})", u32::from(char)),
            "write a plain space: it was probably pasted",
        ),
        '–' | '—' => (format!("`{char}` is a dash, no minus sign"), "write `-`: it was probably pasted"),
        '$' => ("`$` has a meaning in strings only".to_owned(), "write the name alone: `node`, not `$node`"),
        '@' | '~' | '^' | '\\' | '#' => (format!("`{char}` has no meaning here"), "leave it out"),
        _ if char.is_alphanumeric() || char == '_' => {
            (format!("`{text}` is no name"), "names are of the letters a to z, digits and `_`")
        }
        _ if char.is_control() => (format!("a control character (U+{:04X})", u32::from(char)), "leave it out"),
        _ => (format!("`{char}` has no meaning outside of strings and comments"), "leave it out"),
    };
    // What stands between letters was meant as one of them.
    let is_letter = |at: Option<&u8>| at.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    let bytes = draft.text().as_bytes();
    let between = is_letter(token.start.checked_sub(1).and_then(|at| bytes.get(at))) && is_letter(bytes.get(token.end));
    let instead = match char {
        '–' | '—' => "-".to_owned(),
        _ if char.is_alphanumeric() || char == '_' || between => "_".repeat(token.range().len()),
        _ => String::new(),
    };
    draft.tell(Diagnostic::error("E009", message).at(draft.span(&token.range()), "").help(help));
    draft.write(token.range(), &instead);
}

fn mend_operator(draft: &mut Draft, tokens: &[Token], index: usize) {
    let token = tokens[index];
    let text = draft.text()[token.range()].to_owned();
    let before = index.checked_sub(1).map(|before| tokens[before]).filter(|before| before.kind == Kind::Number);
    let is_apart = text == "%" && !tokens.get(index + 1).is_some_and(Token::begins_operand);
    if let (Some(number), true) = (before, is_apart) {
        let written = format!("write `{}%`", &draft.text()[number.range()]);
        let error = Diagnostic::error("E010", "a `%` stands right behind its number");
        draft.tell(error.at(draft.span(&number.range()).to(draft.span(&token.range())), "").help(written));
        return draft.blank(token.range());
    }
    let (instead, help) = match text.as_str() {
        "&" => ("&&", "write `&&`"),
        "===" => ("==", "write `==`"),
        "!==" | "<>" => ("!=", "write `!=`"),
        "=>" => ("", "a closure is written `|n| n.ready`; a comparison `>=`"),
        ":=" => ("=", "write `let name = …`"),
        "+=" | "-=" | "*=" | "++" => ("", "a name is bound once and never changed"),
        "**" => ("*", "there is no power"),
        "%" => ("*", "there is no modulo; a percentage is written `25%`, without a blank"),
        _ => return,
    };
    let error = Diagnostic::error("E011", format!("there is no operator `{text}`"));
    draft.tell(error.at(draft.span(&token.range()), "").help(help));
    let room = token.start..token.end + draft.blanks_from(token.end).min(1);
    if instead.is_empty() || room.len() < instead.len() {
        let line = draft.line_around(token.start);
        draft.silence(line);
    } else {
        draft.write(room, instead);
    }
}

// ----- numbers

fn mend_number(draft: &mut Draft, token: &Token) {
    let text = &draft.text()[token.range()];
    let (message, help) = number_words(text);
    draft.tell(Diagnostic::error("E010", message).at(draft.span(&token.range()), "").help(help));
    draft.write(token.range(), "0");
}

/// What is wrong with a number, and how it is written.
fn number_words(text: &str) -> (String, String) {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    if text.starts_with('v') {
        let message = format!("`{text}` is no version");
        return (message, "a version is `v1.31`, `v1.31.4`, or with a vendor's suffix `v1.31.4-gke.1005`".to_owned());
    }
    if let Some(short) = duration_unit(unit) {
        return (format!("`{text}` is no duration"), format!("write {}", in_units(number, short)));
    }
    if let Some(written) = duration_rewritten(text) {
        return (
            format!("`{text}` is no duration"),
            format!("write `{written}`: whole numbers, the largest unit first"),
        );
    }
    if let Some(bytes) = quantity(number, unit) {
        return (format!("`{text}` is no number"), format!("quantities are written in full: `{bytes}`"));
    }
    if is_version_without_v(text) {
        return (format!("`{text}` is no number"), format!("a version is written `v{text}`"));
    }
    if text.contains('%') {
        return (
            format!("`{text}` is no percentage"),
            "a percentage is a number and `%`: `25%`; there is no modulo".to_owned(),
        );
    }
    if text.contains('_') && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_') {
        return (format!("`{text}` is no number"), format!("write `{}`", text.replace('_', "")));
    }
    (
        format!("`{text}` is no number"),
        "numbers are `12`, `0.5`, `25%`, `10m`, `v1.31.4`; a name does not begin with a digit".to_owned(),
    )
}

/// `1.5h` and `30m1h` as they should be.
fn duration_rewritten(text: &str) -> Option<String> {
    if let Some(sum) = duration_parts(text).and_then(|parts| duration_sum(&parts)) {
        return Some(duration_text(sum));
    }
    let unit_at = text.rfind(|char: char| char.is_ascii_digit())? + 1;
    let (number, unit) = text.split_at(unit_at);
    let (times, short) = duration_unit(unit)?;
    let millis = number.parse::<f64>().ok()? * times as f64 * duration_sum(&[(1, short)])? as f64;
    (millis.fract() == 0.0 && millis.abs() < 1e15).then(|| duration_text(millis as i64))
}

/// The unit that a word means, with how many of it: a week is seven days.
pub(super) fn duration_unit(word: &str) -> Option<(i64, &'static str)> {
    Some(match word.to_ascii_lowercase().as_str() {
        "ms" | "msec" | "msecs" | "millis" | "millisecond" | "milliseconds" => (1, "ms"),
        "s" | "sec" | "secs" | "second" | "seconds" => (1, "s"),
        "m" | "min" | "mins" | "minute" | "minutes" => (1, "m"),
        "h" | "hr" | "hrs" | "hour" | "hours" => (1, "h"),
        "d" | "day" | "days" => (1, "d"),
        "w" | "wk" | "week" | "weeks" => (7, "d"),
        _ => return None,
    })
}

/// `` `10m` `` for `10` and minutes.
pub(super) fn in_units(number: &str, (times, unit): (i64, &str)) -> String {
    match number.parse::<i64>().ok().and_then(|number| number.checked_mul(times)) {
        Some(number) => format!("`{number}{unit}`"),
        None => format!("a whole number and the unit: `10{unit}`"),
    }
}

/// What `4Gi` is in full.
fn quantity(number: &str, unit: &str) -> Option<i128> {
    const PREFIXES: [&str; 6] = ["K", "M", "G", "T", "P", "E"];
    let (prefix, base) = unit.strip_suffix('i').map_or((unit, 1000_i128), |prefix| (prefix, 1024));
    let prefix = if prefix == "k" { "K" } else { prefix };
    let power = PREFIXES.iter().position(|known| *known == prefix)? + 1;
    number.parse::<i128>().ok()?.checked_mul(base.checked_pow(u32::try_from(power).ok()?)?)
}

fn is_version_without_v(text: &str) -> bool {
    let (numbers, _) = text.split_once(['-', '+']).unwrap_or((text, ""));
    numbers.split('.').count() == 3 && numbers.split('.').all(|part| part.bytes().all(|byte| byte.is_ascii_digit()))
}
