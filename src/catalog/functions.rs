//! Functions and methods: names, arities and docs. Their types depend on what they are given: `check::types` rules that
//! from the [`Shape`].

use super::types::Type;

/// A parameter of a function: name, type, whether it must be given.
pub type FunctionParam = (&'static str, fn() -> Type, bool);
/// A part that is read like a field: name and type.
pub type Part = (&'static str, fn() -> Type);

/// A function that stands alone.
pub struct FunctionDecl {
    /// Its name.
    pub name: &'static str,
    /// Parameters: name, type, whether it must be given.
    pub params: &'static [FunctionParam],
    /// What it gives.
    pub result: fn() -> Type,
    /// Whether it is left to a later version: it is checked, and a run that needs it is refused.
    pub later: bool,
    /// One sentence.
    pub doc: &'static str,
}

fn string() -> Type {
    Type::String
}
fn duration() -> Type {
    Type::Duration
}
fn texts() -> Type {
    Type::list(Type::String)
}

/// Every function.
pub const FUNCTIONS: &[FunctionDecl] = &[
    FunctionDecl { name: "now", params: &[], result: || Type::Time, later: false, doc: "the time" },
    FunctionDecl {
        name: "window",
        params: &[("when", string, true)],
        result: || Type::Bool,
        later: false,
        doc: "whether it is now within `Mon-Fri 22:00-05:00 Asia/Shanghai`",
    },
    FunctionDecl {
        name: "prom",
        params: &[("query", string, true), ("every", duration, false)],
        result: || Type::Float,
        later: true,
        doc: "the one value of a Prometheus query",
    },
    FunctionDecl {
        name: "http",
        params: &[("url", string, true), ("every", duration, false), ("headers", texts, false)],
        result: || Type::Bool,
        later: true,
        doc: "whether a GET answers with 2xx",
    },
    FunctionDecl {
        name: "objects",
        params: &[("version", string, true), ("kind", string, true)],
        result: || Type::list(Type::Json),
        later: true,
        doc: "every object of a kind",
    },
];

/// The function of that name.
pub fn function(name: &str) -> Option<&'static FunctionDecl> {
    FUNCTIONS.iter().find(|function| function.name == name)
}

/// What a method works on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Receiver {
    /// A list.
    List,
    /// A string.
    String,
    /// A version: its parts are read like fields.
    Version,
    /// A piece of json.
    Json,
}

/// How a method's type follows from its receiver's and its argument's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// A closure to bool; gives the list.
    Filter,
    /// A closure to any type T; gives `list<T>`.
    Map,
    /// A closure to bool; gives bool.
    Test,
    /// A closure to bool, or nothing; gives int.
    Count,
    /// Nothing; gives int.
    Len,
    /// Nothing; gives bool.
    IsEmpty,
    /// Nothing; gives the item or `none`.
    First,
    /// A closure to something ordered; gives the list.
    SortBy,
    /// Nothing, of ordered items; gives the item or `none`.
    Extreme,
    /// Nothing, of numbers, quantities or durations; gives one of them.
    Sum,
    /// Nothing; gives the list.
    Unique,
    /// An item; gives bool.
    ContainsItem,
    /// A string; gives bool.
    ContainsText,
    /// A string; gives a list of strings.
    Split,
    /// Nothing; gives a string.
    Trim,
    /// Nothing; gives an int, or `none` for what is not one.
    AsInt,
    /// Nothing; gives a float, or `none`.
    AsFloat,
    /// Nothing; gives a string, or `none`.
    AsText,
    /// Nothing; gives a bool, or `none`.
    AsBool,
    /// Nothing; gives a list of json, or `none`.
    AsList,
}

/// A method.
pub struct MethodDecl {
    /// What it works on.
    pub receiver: Receiver,
    /// Its name.
    pub name: &'static str,
    /// Its type.
    pub shape: Shape,
    /// One sentence.
    pub doc: &'static str,
}

macro_rules! methods {
    ($($receiver:ident { $($name:literal $shape:ident $doc:literal)* })*) => {
        /// Every method.
        pub const METHODS: &[MethodDecl] =
            &[$($(MethodDecl { receiver: Receiver::$receiver, name: $name, shape: Shape::$shape, doc: $doc }),*),*];
    };
}

methods! {
    List {
        "filter" Filter "the items for which the closure is true"
        "map" Map "what the closure makes of each item"
        "all" Test "whether the closure is true for every item"
        "any" Test "whether the closure is true for some item"
        "count" Count "for how many items the closure is true; without one, how many there are"
        "len" Len "how many items there are"
        "is_empty" IsEmpty "whether there is none"
        "first" First "the first item, or none"
        "sort_by" SortBy "the items in order of what the closure gives; equals keep their order"
        "min" Extreme "the least item, or none"
        "max" Extreme "the greatest item, or none"
        "sum" Sum "all items added up"
        "unique" Unique "each item once, in order of first appearance"
        "contains" ContainsItem "whether the item is in the list"
    }
    String {
        "contains" ContainsText "whether the text stands in it"
        "starts_with" ContainsText "whether it begins with the text"
        "ends_with" ContainsText "whether it ends with the text"
        "split" Split "its pieces between the text"
        "trim" Trim "it without white space at both ends"
        "len" Len "how many characters it has"
    }
    Json {
        "as_int" AsInt "the whole number that it is, or none"
        "as_float" AsFloat "the number that it is, or none"
        "as_text" AsText "the text that it is, or none"
        "as_bool" AsBool "the truth value that it is, or none"
        "as_list" AsList "the items that it has, or none"
    }
}

/// The method of that name for that receiver.
pub fn method(receiver: Receiver, name: &str) -> Option<&'static MethodDecl> {
    METHODS.iter().find(|method| method.receiver == receiver && method.name == name)
}

/// The parts of a version, read like fields: name and type.
pub const VERSION_PARTS: &[Part] = &[
    ("major", || Type::Int),
    ("minor", || Type::Int),
    ("patch", || Type::Int.optional()),
    ("suffix", || Type::String),
    ("text", || Type::String),
];
