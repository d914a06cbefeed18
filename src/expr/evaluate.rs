//! Lowered text → a compiled expression → a value, in Rhai's sandbox: no I/O, no sleep, bounded work and depth.
//!
//! The host calls find what they read (facts, bound names) in a context of the thread for the time of one evaluation,
//! so that the lowered text names nothing but values, and every read is noted. An unknown read is thrown, and unwrapped
//! to its root.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::{Arc, LazyLock};

use rhai::packages::Package;
use rhai::{AST, Dynamic, Engine, EvalAltResult, FnPtr, NativeCallContext, OptimizationLevel, Position};

use crate::catalog::value::{ObjectRef, Value};
use crate::catalog::window::Window;
use crate::facts::Single;
use crate::facts::reads::{ReadKey, Reads, Unknown};
use crate::plan::graph::Code;

use super::operators as op;

/// Slot to value, of every name that an expression may use.
pub type Bindings = BTreeMap<String, Value>;

/// Where facts come from: a live cluster's caches or a snapshot.
pub trait FactSource: Send + Sync {
    /// A fact that stands alone, such as `nodes`.
    fn fact(&self, name: &str, reads: &mut Reads) -> Result<Value, Unknown>;
    /// A field of an object.
    fn field(&self, object: &Arc<ObjectRef>, field: &str, reads: &mut Reads) -> Result<Value, Unknown>;
    /// `workloads.regressed`
    fn regressed(&self, reads: &mut Reads) -> Result<Value, Unknown>;
    /// The version of one thing that was read; it is another one whenever the thing may have changed.
    fn version(&self, key: &ReadKey) -> u64;
    /// The time in Unix milliseconds.
    fn now(&self) -> i64;
    /// The single replicas on the node of that name, for pictures of a plan.
    fn singles_on(&self, _node: &str) -> Vec<Single> {
        Vec::new()
    }
    /// For each node of these names, how long a drain mostly takes, in milliseconds; `None` where that cannot be told.
    fn drain_times(&self, nodes: &[&str]) -> Vec<Option<i64>> {
        vec![None; nodes.len()]
    }
}

/// Why an expression has no value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EvalError {
    /// Something that it reads is not known: it passes no gate and fires no guard.
    Unknown(Unknown),
    /// A fault of sprag itself, or a bound that was exceeded.
    Fault(String),
}

impl fmt::Display for EvalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(unknown) => unknown.fmt(f),
            Self::Fault(what) => f.write_str(what),
        }
    }
}

/// What closures over objects gave, by call site and object, for as long as what they read is unchanged: a change then
/// costs one closure, not a list. For one expression with one set of bindings.
#[derive(Debug, Default)]
pub struct Memo {
    entries: HashMap<(Position, Arc<ObjectRef>), MemoEntry>,
}

#[derive(Debug)]
struct MemoEntry {
    reads: Vec<(ReadKey, u64)>,
    result: Value,
}

/// An expression, ready to be evaluated as often as wanted.
#[derive(Debug, Clone)]
pub struct Compiled {
    ast: Arc<AST>,
    slots: BTreeSet<String>,
}

/// Compiles a lowered expression; an error says what is wrong with the text, which only an edited journal can cause.
pub fn load(code: &Code) -> Result<Compiled, String> {
    let ast = ENGINE.compile_expression(&code.code).map_err(|error| format!("`{}`: {error}", code.text))?;
    Ok(Compiled { ast: Arc::new(ast), slots: names_in(&code.code, "name(\"") })
}

/// The facts that a lowered expression reads by name (`nodes`, `jobs`).
pub fn facts_in(code: &Code) -> BTreeSet<String> {
    names_in(&code.code, "fact(\"")
}

/// The windows that a lowered expression asks for, as they are written; the plan has put those together that are computed.
pub fn windows_in(code: &Code) -> Vec<Window> {
    names_in(&code.code, "call_window([s(\"").iter().filter_map(|text| Window::parse(text).ok()).collect()
}

/// Whether a lowered expression reads a field of that name, of whatever it is.
pub fn reads_field(code: &Code, field: &str) -> bool {
    code.code.contains(&format!(", \"{field}\")"))
}

/// The string arguments of a call. A string literal cannot fake one: quotes in it are escaped.
fn names_in(code: &str, call: &str) -> BTreeSet<String> {
    code.match_indices(call)
        .filter_map(|(at, _)| {
            let rest = &code[at + call.len()..];
            rest.find('"').map(|end| rest[..end].to_owned())
        })
        .collect()
}

impl Compiled {
    /// The slots whose values it uses.
    pub fn slots(&self) -> &BTreeSet<String> {
        &self.slots
    }

    /// Evaluates with the bound names and the facts as they are now, and notes in `reads` what was read.
    pub fn evaluate(
        &self,
        bindings: &Bindings,
        facts: &Arc<dyn FactSource>,
        reads: &mut Reads,
        memo: Option<&mut Memo>,
    ) -> Result<Value, EvalError> {
        let bound = self
            .slots
            .iter()
            .filter_map(|slot| bindings.get(slot).map(|value| (slot.clone(), value.clone())))
            .collect();
        let mut memo = memo;
        let taken = memo.as_mut().map(|memo| std::mem::take(*memo));
        let context = Context { bound, facts: facts.clone(), reads: std::mem::take(reads), memo: taken };
        let outer = CONTEXT.with_borrow_mut(|slot| slot.replace(context));
        let result = ENGINE.eval_ast::<Dynamic>(&self.ast);
        let context = CONTEXT.with_borrow_mut(|slot| std::mem::replace(slot, outer));
        if let Some(context) = context {
            *reads = context.reads;
            if let (Some(memo), Some(taken)) = (memo, context.memo) {
                *memo = taken;
            }
        }
        result.map_err(|error| root_cause(&error)).and_then(|value| as_value(&value))
    }

    /// Evaluates to a truth value.
    pub fn is_true(
        &self,
        bindings: &Bindings,
        facts: &Arc<dyn FactSource>,
        reads: &mut Reads,
        memo: Option<&mut Memo>,
    ) -> Result<bool, EvalError> {
        match self.evaluate(bindings, facts, reads, memo)? {
            Value::Bool(value) => Ok(value),
            other => Err(op::unknown(format!("the condition is `{other}`"))),
        }
    }
}

struct Context {
    bound: Bindings,
    facts: Arc<dyn FactSource>,
    reads: Reads,
    memo: Option<Memo>,
}

thread_local! {
    static CONTEXT: RefCell<Option<Context>> = const { RefCell::new(None) };
}

type HostResult<T> = Result<T, Box<EvalAltResult>>;

/// What a thrown error carries.
#[derive(Debug, Clone)]
struct Thrown(EvalError);

fn throw(error: EvalError) -> Box<EvalAltResult> {
    Box::new(EvalAltResult::ErrorRuntime(Dynamic::from(Thrown(error)), Position::NONE))
}

fn host<T>(result: Result<T, EvalError>) -> HostResult<T> {
    result.map_err(throw)
}

/// The error at the bottom of nested calls.
fn root_cause(error: &EvalAltResult) -> EvalError {
    match error {
        EvalAltResult::ErrorInFunctionCall(_, _, inner, _) => root_cause(inner),
        EvalAltResult::ErrorRuntime(payload, _) => match payload.clone().try_cast::<Thrown>() {
            Some(Thrown(error)) => error,
            None => EvalError::Fault(error.to_string()),
        },
        other => EvalError::Fault(other.to_string()),
    }
}

fn as_value(value: &Dynamic) -> Result<Value, EvalError> {
    value.clone().try_cast::<Value>().ok_or_else(|| EvalError::Fault(format!("no value but a {}", value.type_name())))
}

fn with_context<T>(read: impl FnOnce(&mut Context) -> Result<T, EvalError>) -> HostResult<T> {
    CONTEXT.with_borrow_mut(|context| match context {
        Some(context) => host(read(context)),
        None => Err(throw(EvalError::Fault("an expression is evaluated outside of an evaluation".to_owned()))),
    })
}

static ENGINE: LazyLock<Engine> = LazyLock::new(engine);

fn engine() -> Engine {
    let mut engine = Engine::new_raw();
    // Without the optimiser: it folds constants before our calls are known, and hides what is read.
    engine.set_optimization_level(OptimizationLevel::None);
    engine.set_max_expr_depths(512, 512);
    engine.set_max_call_levels(96);
    engine.set_max_operations(200_000_000);
    engine.disable_symbol("eval").disable_symbol("print").disable_symbol("debug");
    engine.register_type_with_name::<Value>("value");
    // `&&`, `||`, `!` and `??` are of Rhai's core; `!` of a bool is in its logic package.
    rhai::packages::LogicPackage::new().register_into_engine(&mut engine);
    register_literals(&mut engine);
    register_reads(&mut engine);
    register_operators(&mut engine);
    register_methods(&mut engine);
    register_functions(&mut engine);
    engine
}

fn register_literals(engine: &mut Engine) {
    engine.register_fn("none", || Value::None);
    engine.register_fn("v", Value::Bool);
    engine.register_fn("s", |text: &str| Value::string(text));
    engine.register_fn("i", |text: &str| parsed(text).map(Value::Int));
    engine.register_fn("d", |text: &str| parsed(text).map(Value::Duration));
    engine.register_fn("json", |text: &str| -> HostResult<Value> {
        host(serde_json::from_str(text).map_err(|error| EvalError::Fault(format!("`{text}`: {error}"))))
    });
    engine.register_fn("list", |items: rhai::Array| -> HostResult<Value> {
        host(items.iter().map(as_value).collect::<Result<Vec<_>, _>>().map(Value::list))
    });
    engine.register_fn("text", |parts: rhai::Array| -> HostResult<Value> { host(interpolate(&parts)) });
    engine.register_fn("shell", |parts: rhai::Array| -> HostResult<Value> { host(shell(&parts)) });
}

fn parsed(text: &str) -> HostResult<i64> {
    host(text.parse().map_err(|_| EvalError::Fault(format!("`{text}` is no number"))))
}

/// Puts a string together. A secret becomes a marker, which only the action that may hold it resolves.
fn interpolate(parts: &[Dynamic]) -> Result<Value, EvalError> {
    let mut out = String::new();
    for part in parts {
        match as_value(part)? {
            Value::None => return Err(op::unknown("a value in a text is none")),
            Value::Secret(name) => out.push_str(&secret_marker(&name)),
            value => out.push_str(&value.to_string()),
        }
    }
    Ok(Value::string(out))
}

/// How a secret stands in a text until the command that may hold it is started.
pub fn secret_marker(name: &str) -> String {
    format!("\u{1}secret:{name}\u{1}")
}

/// A shell command: the script, and the values of its references `SPRAG_ARG_1`, …
fn shell(parts: &[Dynamic]) -> Result<Value, EvalError> {
    let values = parts.iter().map(as_value).collect::<Result<Vec<_>, _>>()?;
    let (script, rest) = values.split_first().ok_or_else(|| EvalError::Fault("an empty command".to_owned()))?;
    let map = [("script".to_owned(), script.clone()), ("values".to_owned(), Value::list(rest.to_vec()))];
    Ok(Value::Map(Arc::new(map.into_iter().collect())))
}

fn register_reads(engine: &mut Engine) {
    engine.register_fn("name", |slot: &str| -> HostResult<Value> {
        with_context(|context| {
            context.bound.get(slot).cloned().ok_or_else(|| op::unknown(format!("`{slot}` is not known yet")))
        })
    });
    engine.register_fn("fact", |name: &str| -> HostResult<Value> {
        with_context(|context| context.facts.fact(name, &mut context.reads).map_err(EvalError::Unknown))
    });
    engine.register_fn("regressed", || -> HostResult<Value> {
        with_context(|context| context.facts.regressed(&mut context.reads).map_err(EvalError::Unknown))
    });
    engine.register_fn("field", |of: Value, field: &str| -> HostResult<Value> {
        match &of {
            Value::Object(object) => with_context(|context| {
                context.facts.field(object, field, &mut context.reads).map_err(EvalError::Unknown)
            }),
            Value::Version(version) => host(op::version_part(version, field).ok_or_else(|| no_field(&of, field))),
            Value::Outcome(outcome) => host(match field {
                "code" => Ok(Value::Int(outcome.code)),
                "stdout" => Ok(Value::optional_text(outcome.stdout.as_deref())),
                _ => Err(no_field(&of, field)),
            }),
            Value::Map(_) | Value::Json(_) => host(op::index(&of, &Value::string(field))),
            _ => Err(throw(no_field(&of, field))),
        }
    });
    engine.register_fn("index", |of: Value, key: Value| -> HostResult<Value> { host(op::index(&of, &key)) });
    engine.register_fn("need", |value: Value, text: &str| -> HostResult<Value> {
        if value == Value::None { Err(throw(op::unknown(format!("`{text}` is none")))) } else { Ok(value) }
    });
}

fn no_field(of: &Value, field: &str) -> EvalError {
    match of {
        Value::None => op::unknown(format!("`{field}` of none")),
        other => EvalError::Fault(format!("`{other}` has no field `{field}`")),
    }
}

fn register_operators(engine: &mut Engine) {
    use std::cmp::Ordering;
    engine.register_fn("b", |value: Value| -> HostResult<bool> {
        match value {
            Value::Bool(value) => Ok(value),
            Value::None => Err(throw(op::unknown("a condition is none"))),
            other => Err(throw(EvalError::Fault(format!("`{other}` is no truth value")))),
        }
    });
    engine.register_fn("opt", |value: Value| if value == Value::None { Dynamic::UNIT } else { Dynamic::from(value) });
    engine.register_fn("eq", |a: Value, b: Value| Value::Bool(op::equal(&a, &b)));
    engine.register_fn("ne", |a: Value, b: Value| Value::Bool(!op::equal(&a, &b)));
    engine
        .register_fn("isin", |a: Value, b: Value| -> HostResult<Value> { host(op::contains(&a, &b).map(Value::Bool)) });
    type Order = (&'static str, fn(Ordering) -> bool);
    let orders: [Order; 4] =
        [("lt", Ordering::is_lt), ("le", Ordering::is_le), ("gt", Ordering::is_gt), ("ge", Ordering::is_ge)];
    for (name, holds) in orders {
        engine.register_fn(name, move |a: Value, b: Value| -> HostResult<Value> {
            host(op::ordered(&a, &b, holds).map(Value::Bool))
        });
    }
    type Binary = fn(&Value, &Value) -> Result<Value, EvalError>;
    let computed: [(&str, Binary); 4] =
        [("add", op::add), ("sub", op::subtract), ("mul", op::multiply), ("div", op::divide)];
    for (name, compute) in computed {
        engine.register_fn(name, move |a: Value, b: Value| -> HostResult<Value> { host(compute(&a, &b)) });
    }
    engine.register_fn("neg", |value: Value| -> HostResult<Value> { host(op::negate(&value)) });
}

fn register_functions(engine: &mut Engine) {
    engine.register_fn("call_now", |_: rhai::Array| -> HostResult<Value> {
        with_context(|context| {
            let now = context.facts.now();
            // The time differs at once, but nobody looks more often than each second.
            context.reads.note(ReadKey::Clock(now + 1000));
            Ok(Value::Time(now))
        })
    });
    engine.register_fn("call_window", |args: rhai::Array| -> HostResult<Value> {
        with_context(|context| in_window(context, &args).map(Value::Bool))
    });
    for name in ["prom", "http", "objects"] {
        engine.register_fn(format!("call_{name}"), move |_: rhai::Array| -> HostResult<Value> {
            Err(throw(op::unknown(format!("`{name}` is not carried out by this version"))))
        });
    }
}

/// Whether it is now within a window; it is another value once that opens or closes.
fn in_window(context: &mut Context, args: &[Dynamic]) -> Result<bool, EvalError> {
    let text = args.first().map(as_value).transpose()?.unwrap_or(Value::None).to_string();
    let window = Window::parse(&text).map_err(|error| EvalError::Fault(format!("`{text}`: {}", error.what)))?;
    let now = context.facts.now();
    let is_open = window.is_open(now);
    let change = if is_open { window.closes_after(now) } else { window.opens_after(now) };
    if let Some(at) = change {
        context.reads.note(ReadKey::Clock(at));
    }
    Ok(is_open)
}

fn register_methods(engine: &mut Engine) {
    engine.register_fn("bind", |context: NativeCallContext, value: Value, body: FnPtr| -> HostResult<Dynamic> {
        body.call_within_context::<Dynamic>(&context, (value,))
    });
    engine.register_fn("method", |of: Value, name: &str, argument: Value| -> HostResult<Value> {
        host(match &of {
            Value::List(items) => list_method(items, name, &argument),
            other => op::scalar_method(other, name, (argument != Value::None).then_some(&argument)),
        })
    });
    engine.register_fn("each", |context: NativeCallContext, of: Value, name: &str, body: FnPtr| -> HostResult<Value> {
        let Value::List(items) = &of else {
            return Err(throw(EvalError::Fault(format!("`{of}` is no list"))));
        };
        each(&context, items, name, &body)
    });
}

fn list_method(items: &[Value], name: &str, argument: &Value) -> Result<Value, EvalError> {
    let length = || Value::Int(i64::try_from(items.len()).unwrap_or(i64::MAX));
    match name {
        "len" | "count" => Ok(length()),
        "is_empty" => Ok(Value::Bool(items.is_empty())),
        "first" => Ok(items.first().cloned().unwrap_or(Value::None)),
        "min" => sortable(items)
            .map(|()| items.iter().min_by(|a, b| super::total_order(a, b)).cloned().unwrap_or(Value::None)),
        "max" => sortable(items)
            .map(|()| items.iter().max_by(|a, b| super::total_order(a, b)).cloned().unwrap_or(Value::None)),
        "sum" => op::sum(items, argument.clone()),
        "contains" => op::contains(argument, &Value::list(items.to_vec())).map(Value::Bool),
        "unique" => sortable(items).map(|()| unique(items)),
        other => Err(EvalError::Fault(format!("a list has no method `{other}`"))),
    }
}

fn unique(items: &[Value]) -> Value {
    let mut kept: Vec<Value> = Vec::new();
    for item in items {
        if !kept.iter().any(|one| one == item) {
            kept.push(item.clone());
        }
    }
    Value::list(kept)
}

/// A version of two parts stands for many: it has no place in a total order.
fn sortable(items: &[Value]) -> Result<(), EvalError> {
    match items.iter().find(|item| matches!(item, Value::Version(version) if version.is_two_part())) {
        Some(version) => Err(op::unknown(format!("`{version}` stands for all its patches and cannot be sorted"))),
        None => Ok(()),
    }
}

/// The list methods that take a closure.
fn each(context: &NativeCallContext, items: &Arc<Vec<Value>>, name: &str, body: &FnPtr) -> HostResult<Value> {
    let truth = |item: &Value| -> HostResult<bool> {
        match apply(context, body, item)? {
            Value::Bool(value) => Ok(value),
            other => Err(throw(for_item(op::unknown(format!("the condition is `{other}`")), item))),
        }
    };
    Ok(match name {
        "all" => {
            for item in items.iter() {
                if !truth(item)? {
                    return Ok(Value::Bool(false));
                }
            }
            Value::Bool(true)
        }
        "any" => {
            for item in items.iter() {
                if truth(item)? {
                    return Ok(Value::Bool(true));
                }
            }
            Value::Bool(false)
        }
        "filter" | "count" => {
            let mut kept = Vec::new();
            for item in items.iter() {
                if truth(item)? {
                    kept.push(item.clone());
                }
            }
            if name == "filter" { Value::list(kept) } else { Value::Int(i64::try_from(kept.len()).unwrap_or(i64::MAX)) }
        }
        "map" => Value::list(items.iter().map(|item| apply(context, body, item)).collect::<HostResult<_>>()?),
        "sort_by" => {
            let keys = items.iter().map(|item| apply(context, body, item)).collect::<HostResult<Vec<_>>>()?;
            host(sortable(&keys))?;
            let mut order: Vec<usize> = (0..items.len()).collect();
            order.sort_by(|a, b| super::total_order(&keys[*a], &keys[*b]));
            Value::list(order.into_iter().map(|index| items[index].clone()).collect())
        }
        other => return Err(throw(EvalError::Fault(format!("a list has no method `{other}` with a closure")))),
    })
}

/// The closure's value for one item: remembered where the item is an object and the closure captures nothing.
fn apply(context: &NativeCallContext, body: &FnPtr, item: &Value) -> HostResult<Value> {
    let key = match item {
        Value::Object(object) if !body.is_curried() => Some((context.call_position(), object.clone())),
        _ => None,
    };
    let Some(key) = key else {
        return call_closure(context, body, item);
    };
    if let Some(value) = with_context(|context| Ok(remembered(context, &key)))? {
        return Ok(value);
    }
    let outer = with_context(|context| Ok(std::mem::take(&mut context.reads)))?;
    let result = call_closure(context, body, item);
    with_context(|context| {
        let read = std::mem::replace(&mut context.reads, outer);
        if let (Ok(value), Some(memo)) = (&result, &mut context.memo) {
            let reads = read.keys.iter().map(|key| (key.clone(), context.facts.version(key))).collect();
            memo.entries.insert(key, MemoEntry { reads, result: value.clone() });
        }
        context.reads.keys.extend(read.keys);
        Ok(())
    })?;
    result
}

fn remembered(context: &mut Context, key: &(Position, Arc<ObjectRef>)) -> Option<Value> {
    let entry = context.memo.as_ref()?.entries.get(key)?;
    let now = context.facts.now();
    let fresh = entry.reads.iter().all(|(key, version)| match key {
        ReadKey::Clock(at) => now < *at,
        key => context.facts.version(key) == *version,
    });
    if !fresh {
        return None;
    }
    context.reads.keys.extend(entry.reads.iter().map(|(key, _)| key.clone()));
    Some(entry.result.clone())
}

fn call_closure(context: &NativeCallContext, body: &FnPtr, item: &Value) -> HostResult<Value> {
    let result = body.call_within_context::<Dynamic>(context, (item.clone(),));
    match result {
        Ok(value) => host(as_value(&value)),
        Err(error) => Err(throw(for_item(root_cause(&error), item))),
    }
}

/// Says for which item something is unknown, once.
fn for_item(error: EvalError, item: &Value) -> EvalError {
    match (error, item) {
        (EvalError::Unknown(unknown), Value::Object(object)) if !unknown.why.ends_with(')') => {
            op::unknown(format!("{} ({} {object})", unknown.why, object.kind.word()))
        }
        (error, _) => error,
    }
}
