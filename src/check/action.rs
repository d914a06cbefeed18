//! Actions: arguments held against the signature in the catalog, modifiers, and the command of `exec`.

use crate::catalog::actions::{ActionDecl, ParamDecl, ParamType};
use crate::catalog::types::{Kind, Moment, Type};
use crate::catalog::value::Value;
use crate::diagnostic::{Diagnostic, did_you_mean};
use crate::expr::ir::{Node, TextPart, Typed};
use crate::source::Span;
use crate::syntax::ast::{Call, Expr, ExprKind, Modifiers, Retry, StringLit, StringPart};

use super::call::Slot;
use super::expression::{mistake, plain_text};
use super::moments::Place;
use super::program::{self, Action};
use super::scope::Checker;
use super::shell::{Piece, analyse, script};
use super::statement::BlockKind;
use super::types::phrase;

impl<'a> Checker<'a> {
    pub(super) fn action(&mut self, decl: &'static ActionDecl, call: &'a Call, modifiers: &'a Modifiers) -> Action {
        let slots: Vec<_> = decl.params.iter().map(slot).collect();
        let matched = self.match_args(decl.name, &slots, &call.args, call.span);
        let mut args = Vec::new();
        for (param, arg) in decl.params.iter().zip(matched) {
            let value = match arg {
                Some(arg) => Some(self.argument(param, arg)),
                None => default(param, call.span),
            };
            args.extend(value.map(|value| (param.name, value)));
        }
        Action {
            name: decl.name,
            args,
            record: None,
            retry: modifiers.retry.as_ref().map(|retry| self.retry(retry)),
            when: modifiers.when.as_ref().map(|when| self.at(when, &Type::Bool, "`when`", Place::Live)),
            done_when: modifiers.done_when.as_ref().map(|done| self.at(done, &Type::Bool, "`done when`", Place::Live)),
            takes: modifiers.takes.as_ref().map(|takes| self.duration(takes, "`takes`")),
            undo: modifiers.undo.as_ref().map(|undo| self.block(undo, BlockKind::Plain)),
            alias: self.alias(modifiers.alias.as_ref()),
        }
    }

    fn retry(&mut self, retry: &'a Retry) -> program::Retry {
        program::Retry {
            count: self.count(&retry.count, "`retry`", 1),
            every: retry.every.as_ref().map(|every| self.duration(every, "`every`")),
        }
    }

    fn argument(&mut self, param: &'static ParamDecl, arg: &'a Expr) -> Typed {
        let what = format!("`{}`", param.name);
        match param.ty {
            ParamType::Value(_) if param.secret => {
                self.begin();
                let texts = self.secret_texts(arg, param.name);
                self.hold(&texts, Place::Argument);
                texts
            }
            ParamType::Value(_) if param.name == "timeout" => {
                let timeout = self.at(arg, &Type::Duration, &what, Place::Timeout);
                self.refuse_no_time(&timeout, &what);
                timeout
            }
            ParamType::Value(ty) => self.at(arg, &ty(), &what, Place::Argument),
            ParamType::Choice(choices) => self.choose(param, choices, arg),
            ParamType::ChoiceOrClosure(_) | ParamType::Closure if is_closure(arg) => self.pod_closure(param, arg),
            ParamType::ChoiceOrClosure(choices) => self.choose(param, choices, arg),
            ParamType::Closure => self.pod_closure(param, arg),
            ParamType::Command => self.command(arg),
        }
    }

    /// One of a few texts; one that is computed is held against them as its step starts.
    fn choose(&mut self, param: &ParamDecl, choices: &[&str], arg: &'a Expr) -> Typed {
        if let Some(text) = plain_text(arg)
            && !choices.contains(&text.as_str())
        {
            let near = did_you_mean(&text, choices.iter().copied());
            let all = choices.iter().map(|choice| format!("`\"{choice}\"`")).collect::<Vec<_>>().join(", ");
            self.tell(
                Diagnostic::error("E209", format!("`{}` cannot be \"{text}\"", param.name))
                    .at(arg.span, near.map(|near| format!("did you mean `\"{near}\"`?")).unwrap_or_default())
                    .help(format!("it is one of {all}")),
            );
            return mistake(arg.span);
        }
        self.at(arg, &Type::String, &format!("`{}`", param.name), Place::Argument)
    }

    /// A closure over a pod, which it reads live.
    fn pod_closure(&mut self, param: &ParamDecl, arg: &'a Expr) -> Typed {
        self.begin();
        let what = format!("`{}`", param.name);
        let pod = Type::Object(Kind::Pod);
        let closure = match param.name {
            "order" => self.sort_key(arg, &pod, Moment::Live, &what),
            _ => self.closure(arg, &pod, Moment::Live, &what, Some(&Type::Bool)),
        };
        closure.unwrap_or_else(|| mistake(arg.span))
    }

    /// A list of texts in which a secret may be interpolated: `["TOKEN=${token}"]`.
    pub(super) fn secret_texts(&mut self, arg: &'a Expr, name: &str) -> Typed {
        let ExprKind::List(items) = &arg.kind else {
            return self.value(arg, &Type::list(Type::String), &format!("`{name}`"));
        };
        let mut texts = Vec::new();
        for item in items {
            let text = self.expr(item, Some(&Type::String));
            let is_secret_text = text.ty == Type::Secret && matches!(text.node, Node::Text(_));
            texts.push(if is_secret_text {
                text
            } else {
                self.fitted(text, &Type::String, &format!("an item of `{name}`"))
            });
        }
        let moment = texts.iter().map(|text| text.moment).max().unwrap_or(Moment::Plan);
        Typed { ty: Type::list(Type::String), moment, span: arg.span, node: Node::List(texts) }
    }

    /// The command of `exec`: a list goes without a shell, a text written here through one.
    fn command(&mut self, arg: &'a Expr) -> Typed {
        self.begin();
        let mut written = arg;
        while let ExprKind::Paren(inner) = &written.kind {
            written = inner;
        }
        let typed = match &written.kind {
            ExprKind::String(text) => self.shell_command(text),
            ExprKind::List(items) if items.is_empty() => {
                self.tell(Diagnostic::error("E210", "a command names a program").at(arg.span, "this list is empty"));
                return mistake(arg.span);
            }
            _ => {
                let typed = self.expr(written, Some(&Type::list(Type::String)));
                if matches!(typed.ty.required(), Type::String | Type::Secret) {
                    self.tell_computed(&typed);
                    return mistake(arg.span);
                }
                self.fitted(typed, &Type::list(Type::String), "`command`")
            }
        };
        self.hold(&typed, Place::Argument);
        typed
    }

    fn tell_computed(&mut self, typed: &Typed) {
        let text = self.text(typed.span);
        self.tell(
            Diagnostic::error("E213", "a shell's command is written at its place, not computed")
                .at(typed.span, "what this will be cannot be seen here")
                .help(format!(
                    "a computed command is a list, which no shell reads: `[\"kubectl\", \"get\", …]`; \
                     if it must be a script, `[\"sh\", \"-c\", {text}]`"
                )),
        );
    }

    /// `exec("…")`: values travel as environment variables, the script refers to them as fits their quoting.
    fn shell_command(&mut self, text: &'a StringLit) -> Typed {
        let span = text.span;
        let mut pieces = Vec::new();
        let mut values = Vec::new();
        for part in &text.parts {
            match part {
                StringPart::Text { text, .. } => pieces.push(Piece::Text(text)),
                StringPart::Interpolation(expr) => {
                    pieces.push(Piece::Value);
                    values.push(self.shell_value(expr));
                }
            }
        }
        if text.plain().is_some_and(|text| text.trim().is_empty()) {
            self.tell(Diagnostic::error("E210", "a command names a program").at(span, "this one is empty"));
        }
        let Some(script) = self.quoted_script(&pieces, &values, span) else { return mistake(span) };
        let moment = values.iter().map(|value| value.moment).max().unwrap_or(Moment::Plan);
        let node = Node::Literal(Value::string(script));
        let mut args = vec![Typed { ty: Type::String, moment: Moment::Plan, span, node }];
        args.extend(values);
        Typed { ty: Type::String, moment, span, node: Node::Call("shell".to_owned(), args) }
    }

    fn shell_value(&mut self, expr: &'a Expr) -> Typed {
        let value = self.expr(expr, None);
        let span = value.span;
        if *value.ty.required() == Type::Secret {
            self.tell(
                Diagnostic::error("E212", "a secret in a command could be seen by everyone on this machine")
                    .at(span, phrase(&value.ty))
                    .help("give it as a variable, `env: [\"TOKEN=${token}\"]`, and write `$TOKEN` here"),
            );
            return mistake(span);
        }
        let value = self.shown_value(value);
        let moment = value.moment;
        Typed { ty: Type::String, moment, span, node: Node::Text(vec![TextPart::Value(value)]) }
    }

    fn quoted_script(&mut self, pieces: &[Piece<'_>], values: &[Typed], span: Span) -> Option<String> {
        let analysis = analyse(pieces);
        for (found, value) in analysis.values.iter().zip(values) {
            if let Err(danger) = found {
                self.tell(
                    Diagnostic::error("E214", "a value cannot stand at this place of a command: it could become code")
                        .at(value.span, danger.place())
                        .help(danger.remedy()),
                );
            }
        }
        let quoting = analysis.values.into_iter().collect::<Result<Vec<_>, _>>().ok()?;
        if let Some(open) = analysis.open {
            self.tell(
                Diagnostic::error("E214", "this command is not finished")
                    .at(span, format!("`{open}` is missing in it"))
                    .help("a shell would refuse it"),
            );
            return None;
        }
        Some(script(pieces, &quoting))
    }
}

fn is_closure(arg: &Expr) -> bool {
    matches!(arg.kind, ExprKind::Closure(..))
}

fn slot(param: &ParamDecl) -> Slot<'_> {
    Slot { name: param.name, is_required: param.default.is_none(), is_positional: param.positional }
}

/// The signature's own default as a value; nothing where it says nothing.
fn default(param: &ParamDecl, span: Span) -> Option<Typed> {
    let text = param.default.filter(|text| !text.is_empty())?;
    let literal = |ty: Type, value: Value| Typed { ty, moment: Moment::Plan, span, node: Node::Literal(value) };
    let ParamType::Value(ty) = param.ty else { return Some(literal(Type::String, Value::string(text))) };
    Some(match ty().required() {
        Type::Duration => literal(Type::Duration, Value::Duration(minutes(text))),
        Type::Bool => literal(Type::Bool, Value::Bool(text == "true")),
        Type::List(item) => {
            let numbers = text.trim_matches(['[', ']']).split(',').filter_map(|item| item.trim().parse().ok());
            let items = numbers.map(|n| literal((**item).clone(), Value::Int(n))).collect();
            Typed { ty: ty(), moment: Moment::Plan, span, node: Node::List(items) }
        }
        _ => literal(Type::String, Value::string(text.trim_matches('"'))),
    })
}

/// A default of the catalog such as `10m`, in milliseconds.
fn minutes(text: &str) -> i64 {
    text.trim_end_matches('m').parse::<i64>().unwrap_or_default() * 60_000
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::actions::ACTIONS;

    #[test]
    fn every_default_of_the_catalog_can_be_read() {
        let span = Span::default();
        for (action, param) in ACTIONS.iter().flat_map(|action| action.params.iter().map(move |param| (action, param)))
        {
            let Some(text) = param.default.filter(|text| !text.is_empty()) else { continue };
            let value = default(param, span).unwrap();
            let shown = match &value.node {
                Node::Literal(Value::String(text)) if param.default == Some("\"\"") => format!("\"{text}\""),
                Node::Literal(Value::String(text)) if param.default.is_some_and(|d| d.starts_with('"')) => {
                    format!("\"{text}\"")
                }
                Node::Literal(value) => value.to_string(),
                Node::List(items) => format!("[{}]", items.iter().map(|_| "0").collect::<Vec<_>>().join(", ")),
                other => panic!("{other:?}"),
            };
            assert_eq!(shown, text, "{} {}", action.name, param.name);
        }
    }
}
