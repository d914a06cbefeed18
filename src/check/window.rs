//! The text of `window("…")`, where it is written at its place.

use crate::catalog::window::Window;
use crate::diagnostic::Diagnostic;
use crate::source::Span;
use crate::syntax::ast::Expr;

use super::expression::plain_text;
use super::scope::Checker;

impl Checker<'_> {
    /// Tells of a window that cannot be read. One that is computed is read when the plan is made.
    pub(super) fn refuse_no_window(&mut self, arg: &Expr) {
        let Some(text) = plain_text(arg) else { return };
        let Err(error) = Window::parse(&text) else { return };
        let written = self.sources.text(arg.span);
        let at = match written.find(&text).filter(|_| !text.is_empty()) {
            Some(from) => {
                let start = arg.span.start as usize + from;
                Span::new(arg.span.file, start + error.at.start, start + error.at.end)
            }
            // Escapes make the text another than is written, or there is none.
            None => arg.span,
        };
        self.tell(Diagnostic::error("E219", error.what).at(at, "").help(error.help));
    }
}
