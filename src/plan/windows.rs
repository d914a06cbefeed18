//! Windows whose text is computed: put together and read when the plan is made, so that none fails in the night.

use crate::catalog::types::Moment;
use crate::catalog::value::Value;
use crate::catalog::window::Window;
use crate::diagnostic::Diagnostic;
use crate::expr::ir::{Node, Typed};

use super::expand::Planner;
use super::values::any;

impl Planner<'_> {
    /// An expression that has slots for names, with the text of a window where it asks for one.
    pub(super) fn with_window(&mut self, typed: Typed) -> Typed {
        let Some(arg) = computed(&typed) else { return typed };
        let is_known = !any(arg, &mut |part| matches!(part.node, Node::Local(_))) && self.is_known_now(arg);
        if !is_known {
            let error = Diagnostic::error("E416", "the window cannot be told when the plan is made");
            self.diagnostics.push(
                error.at(arg.span, "").help("put it together from parameters and from `let`s outside of rollouts"),
            );
            return typed;
        }
        let span = arg.span;
        let Some(value) = self.evaluate(arg, span, "the window") else { return typed };
        let text = value.to_string();
        if let Err(error) = Window::parse(&text) {
            let error = Diagnostic::error("E416", error.what).at(span, format!("this is `{text}`")).help(error.help);
            self.diagnostics.push(error);
        }
        let told = Typed { moment: Moment::Plan, node: Node::Literal(Value::string(text)), ..arg.clone() };
        Typed { node: Node::Call("window".to_owned(), vec![told]), ..typed.clone() }
    }
}

/// The text of a window, where it is not written at its place.
fn computed(typed: &Typed) -> Option<&Typed> {
    match &typed.node {
        Node::Call(name, args) if name == "window" => args.first().filter(|arg| !matches!(arg.node, Node::Literal(_))),
        _ => None,
    }
}
