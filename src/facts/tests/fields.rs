//! Every field of the catalog, and what none and unknown mean.

use super::*;
use crate::catalog::facts::{FACTS, FIELDS};
use crate::catalog::types::Type;

/// Whether a value is of a type.
fn is_of(value: &Value, ty: &Type) -> bool {
    match (value, ty) {
        (Value::None, ty) => ty.may_be_none(),
        (value, Type::Optional(inner)) => is_of(value, inner),
        (Value::List(items), Type::List(item)) => items.iter().all(|value| is_of(value, item)),
        (Value::Map(items), Type::Map(item)) => items.values().all(|value| is_of(value, item)),
        (Value::Object(object), Type::Object(kind)) => object.kind == *kind,
        (Value::Bool(_), Type::Bool)
        | (Value::Int(_), Type::Int)
        | (Value::String(_), Type::String)
        | (Value::Version(_), Type::Version)
        | (Value::Duration(_), Type::Duration)
        | (Value::Time(_), Type::Time)
        | (Value::Quantity(_), Type::Quantity)
        | (Value::Json(_), Type::Json) => true,
        _ => false,
    }
}

fn sample(kind: Kind) -> Option<Arc<ObjectRef>> {
    Some(match kind {
        Kind::Cluster => object(kind, "", "cluster"),
        Kind::Node => object(kind, "", "n1"),
        Kind::Pod => object(kind, "shop", "web-1-a"),
        Kind::Workload => web(),
        Kind::Budget => object(kind, "shop", "guard"),
        Kind::Job => object(kind, "shop", "import"),
        Kind::Event => object(kind, "shop", "e"),
        Kind::Webhook => {
            let hook = ObjectRef {
                kind,
                namespace: String::new(),
                name: "p.example.com".to_owned(),
                uid: "u-policy".to_owned(),
            };
            Arc::new(hook)
        }
        // The engine's own, which no fact leads to.
        Kind::Outcome => return None,
    })
}

#[test]
fn every_declared_fact_and_field_is_read_with_its_type() {
    let facts = facts();
    facts.set_run(NOW - 5000, [].into(), ["n1".to_owned()].into());
    for fact in FACTS {
        let value = facts.fact(fact.name, &mut Reads::default());
        assert!(value.as_ref().is_ok_and(|value| is_of(value, &(fact.ty)())), "{}: {value:?}", fact.name);
    }
    for decl in FIELDS {
        let Some(object) = sample(decl.owner) else { continue };
        let value = facts.field(&object, decl.name, &mut Reads::default());
        let is_right = value.as_ref().is_ok_and(|value| is_of(value, &(decl.ty)()));
        assert!(is_right, "{}.{}: {value:?}", decl.owner.word(), decl.name);
    }
}

#[test]
fn fields_have_the_values_of_their_objects() {
    let facts = facts();
    let (node, pod) = (object(Kind::Node, "", "n1"), object(Kind::Pod, "shop", "web-1-a"));
    let table = [
        (&node, "zone", "a"),
        (&node, "region", "none"),
        (&node, "taints", "[gpu=yes:NoSchedule]"),
        (&node, "kubelet", "v1.36.3"),
        (&node, "silent_for", "10s"),
        (&node, "age", "1h"),
        (&node, "pods", "[shop/web-1-a]"),
        (&pod, "node", "n1"),
        (&pod, "owner", "ReplicaSet/web-1"),
        (&pod, "workload", "shop/web"),
        (&pod, "requests", "{cpu: 500m, memory: 0, pods: 1}"),
        (&web(), "kind", "Deployment"),
        (&web(), "ready", "2"),
        (&web(), "available", "0"),
        (&web(), "budgets", "[shop/guard]"),
        (&object(Kind::Node, "", "n2"), "silent_for", "unknown: node `n2` has no lease"),
    ];
    for (object, name, expected) in table {
        assert_eq!(field(&facts, object, name), expected, "{object}.{name}");
    }
}

#[test]
fn of_what_is_gone_only_the_identity_is_known() {
    let (facts, node) = (facts(), object(Kind::Node, "", "gone"));
    assert_eq!(field(&facts, &node, "name"), "gone");
    assert_eq!(field(&facts, &node, "ready"), "unknown: node `gone` is gone");
    assert!(facts.is_gone(&node));
    assert!(!facts.is_gone(&object(Kind::Node, "", "n1")));
}

#[test]
fn a_pod_that_is_ready_is_available_once_its_time_is_over() {
    let facts = facts();
    let mut reads = Reads::default();
    assert_eq!(facts.field(&web(), "available", &mut reads), Ok(Value::Int(0)));
    assert!(reads.keys.contains(&ReadKey::Clock(NOW + 10_000)), "{reads:?}");
    facts.set_now(NOW + 10_000);
    assert_eq!(field(&facts, &web(), "available"), "2");
}

#[test]
fn pods_that_are_not_meant_to_run_are_only_among_all_pods() {
    let facts = facts();
    let mut finished = pod("web-1-c", "n1");
    finished["status"]["phase"] = json!("Succeeded");
    let mut going = pod("web-1-d", "n1");
    going["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:30Z");
    let mut ours = pod("web-1-e", "n1");
    ours["metadata"]["labels"]["sprag.dev/run"] = json!("7c1f-1");
    for pod in [finished, going, ours] {
        put(&facts, Resource::Pods, &pod);
    }
    let fact = |name| names(&facts.fact(name, &mut Reads::default()).unwrap());
    assert_eq!(fact("pods"), "[shop/web-1-a, shop/web-1-b]");
    assert_eq!(fact("all_pods"), "[shop/web-1-a, shop/web-1-b, shop/web-1-c, shop/web-1-d, shop/web-1-e]");
    assert_eq!(field(&facts, &web(), "ready"), "2");
}

#[test]
fn what_was_whole_and_is_not_has_regressed_unless_its_owner_rolls_it_out() {
    let facts = facts();
    facts.set_now(NOW + 60_000);
    let whole = facts.read(|facts| facts.whole());
    assert_eq!(whole.keys().collect::<Vec<_>>(), ["u-web"]);
    facts.set_run(NOW, whole, [].into());
    let regressed = |facts: &SharedFacts| names(&facts.regressed(&mut Reads::default()).unwrap());
    assert_eq!(regressed(&facts), "[]");
    remove(&facts, Resource::Pods, "shop", "web-1-a");
    assert_eq!(regressed(&facts), "[shop/web]");
    let mut rolled = world().objects["deployments.apps"][0].clone();
    rolled["spec"]["template"] = json!({"v": 2});
    put(&facts, Resource::Deployments, &rolled);
    assert_eq!(regressed(&facts), "[]");
}
