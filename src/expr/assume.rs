//! What would have to be so for a condition to hold, where that can be read from its form: a rehearsal makes the effect of
//! a command true that nobody described (ARCHITECTURE.md, "The seam is the wire").
//!
//! Understood are conjunctions of comparisons of a field with a value (`node.kubelet == target`), of a label or annotation
//! with one (`node.labels["a"] == "b"`), and truth values (`node.ready`, `!node.ready`).

use crate::plan::graph::Code;

use super::form::{call, code, split, whole};

/// One part of a condition: an object's field, how it has to stand to a value.
#[derive(Debug, Clone, PartialEq)]
pub struct Wish {
    /// The object.
    pub object: Code,
    /// Its field.
    pub field: String,
    /// The key in that field, of a map.
    pub key: Option<Code>,
    /// How they have to stand.
    pub relation: Relation,
    /// The value.
    pub value: Code,
}

/// How a field has to stand to a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relation {
    /// Equal to it, or not less or more than it: the value itself will do.
    Same,
    /// Another one.
    Other,
}

/// What would make a condition true; `None` where its form does not tell.
pub fn wishes(condition: &Code) -> Option<Vec<Wish>> {
    let mut wishes = Vec::new();
    collect(&condition.code, true, &mut wishes)?;
    Some(wishes)
}

fn collect(code: &str, is_true: bool, wishes: &mut Vec<Wish>) -> Option<()> {
    let code = code.trim();
    if let Some(negated) = code.strip_prefix('!') {
        return collect(negated, !is_true, wishes);
    }
    if let Some((left, right)) = conjunction(code) {
        // What makes one side of a negated conjunction false is not told by its form.
        return if is_true { collect(left, true, wishes).and_then(|()| collect(right, true, wishes)) } else { None };
    }
    let (name, args) = call(code)?;
    match (name, args.as_slice()) {
        ("v" | "b", [inner]) => collect(inner, is_true, wishes),
        ("eq" | "ge" | "le", [left, right]) if is_true => wish(left, right, Relation::Same, wishes),
        ("ne", [left, right]) if !is_true => wish(left, right, Relation::Same, wishes),
        ("ne", [left, right]) if is_true => wish(left, right, Relation::Other, wishes),
        ("eq", [left, right]) if !is_true => wish(left, right, Relation::Other, wishes),
        ("field", _) => wish(code, if is_true { "v(true)" } else { "v(false)" }, Relation::Same, wishes),
        _ => None,
    }
}

/// The field may stand on either side.
fn wish(left: &str, right: &str, relation: Relation, wishes: &mut Vec<Wish>) -> Option<()> {
    let (place, value) = match (place(left), place(right)) {
        (Some(place), _) => (place, right),
        (None, Some(place)) => (place, left),
        (None, None) => return None,
    };
    let (object, field, key) = place;
    let (object, key, value) = (code(object), key.map(code), code(value));
    wishes.push(Wish { object, field, key, relation, value });
    Some(())
}

/// `field(object, "name")`, or an index into one.
fn place(text: &str) -> Option<(&str, String, Option<&str>)> {
    let (name, args) = call(needed(text))?;
    match (name, args.as_slice()) {
        ("field", [object, field]) => Some((object, unquoted(field)?, None)),
        ("index", [map, key]) => {
            let (object, field, inner) = place(map)?;
            inner.is_none().then_some((object, field, Some(*key)))
        }
        _ => None,
    }
}

/// Without the wrapping that says what may not be `none`.
fn needed(text: &str) -> &str {
    match call(text) {
        Some(("need", args)) => args.first().copied().unwrap_or(text),
        _ => text,
    }
}

fn unquoted(text: &str) -> Option<String> {
    text.trim().strip_prefix('"')?.strip_suffix('"').map(str::to_owned)
}

/// `(a && b)` as a whole: both sides.
fn conjunction(text: &str) -> Option<(&str, &str)> {
    let parts = split(whole(text)?, "&&");
    match parts.as_slice() {
        [left, right] => Some((left, right)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(code_text: &str) -> String {
        let Some(wishes) = wishes(&code(code_text)) else { return "cannot tell".to_owned() };
        let each = wishes.iter().map(|wish| {
            let key = wish.key.as_ref().map(|key| format!("[{}]", key.code)).unwrap_or_default();
            format!("{} . {}{key} {:?} {}", wish.object.code, wish.field, wish.relation, wish.value.code)
        });
        each.collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn conditions_tell_what_they_want() {
        assert_eq!(
            told(r#"eq(field(name("node"), "kubelet"), name("target"))"#),
            r#"name("node") . kubelet Same name("target")"#
        );
        assert_eq!(
            told(r#"v((b(ne(field(name("n"), "boot_id"), name("be)fore"))) && b(field(name("n"), "ready"))))"#),
            r#"name("n") . boot_id Other name("be)fore"); name("n") . ready Same v(true)"#
        );
        assert_eq!(
            told(r#"eq(index(field(name("n"), "labels"), s("a, \"b")), s("x"))"#),
            r#"name("n") . labels[s("a, \"b")] Same s("x")"#
        );
        assert_eq!(told(r#"v(!b(field(name("n"), "schedulable")))"#), r#"name("n") . schedulable Same v(false)"#);
        assert_eq!(
            told(r#"ge(name("target"), need(field(name("n"), "kubelet"), "n.kubelet"))"#),
            r#"name("n") . kubelet Same name("target")"#
        );
    }

    #[test]
    fn others_do_not() {
        assert_eq!(told(r#"ge(method(fact("nodes"), "len", none()), i("3"))"#), "cannot tell");
        assert_eq!(told(r#"v((b(a()) || b(c())))"#), "cannot tell");
        assert_eq!(told(r#"lt(field(name("n"), "kubelet"), name("target"))"#), "cannot tell");
    }
}
