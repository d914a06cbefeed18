//! How long a drain mostly takes.

use super::*;

/// A pod of web-1 on n1 that took so many seconds to become ready.
fn started(name: &str, seconds: i64, grace: i64) -> Json {
    let mut pod = pod(name, "n1");
    let ready = format!("2025-12-31T23:{:02}:{:02}Z", seconds / 60, seconds % 60);
    pod["status"]["conditions"][0]["lastTransitionTime"] = json!(ready);
    pod["spec"]["terminationGracePeriodSeconds"] = json!(grace);
    pod
}

fn drains(facts: &SharedFacts) -> Vec<Option<i64>> {
    facts.drain_times(&["n1", "n2", "gone"])
}

#[test]
fn a_drain_takes_as_long_as_its_slowest_workload() {
    let facts = facts();
    remove(&facts, Resource::Pods, "shop", "web-1-a");
    remove(&facts, Resource::Pods, "shop", "web-1-b");
    assert_eq!(drains(&facts), [Some(3_000), Some(3_000), None], "empty nodes");
    for (name, seconds) in [("a", 40), ("b", 20), ("c", 30)] {
        put(&facts, Resource::Pods, &started(name, seconds, 10));
    }
    // One at a time by the budget: two replacements of 30 s, and the grace of the last.
    assert_eq!(drains(&facts)[0], Some(3_000 + 2 * 30_000 + 10_000));
    let mut daemon = started("d", 1, 3_000);
    daemon["metadata"]["ownerReferences"][0]["kind"] = json!("DaemonSet");
    put(&facts, Resource::Pods, &daemon);
    assert_eq!(drains(&facts)[0], Some(73_000), "what stays on the node takes no time");
    let mut restarted = started("e", 500, 10);
    restarted["status"]["containerStatuses"] = json!([{"name": "c", "restartCount": 1}]);
    put(&facts, Resource::Pods, &restarted);
    assert_eq!(drains(&facts)[0], Some(103_000), "one more to go, but a restart tells nothing of a start");
}

#[test]
fn without_a_budget_a_quarter_is_out_at_a_time_and_two_of_a_budget_that_allows_two() {
    let facts = facts();
    for (name, seconds) in [("a", 30), ("b", 30), ("c", 30), ("d", 30)] {
        put(&facts, Resource::Pods, &started(name, seconds, 0));
    }
    remove(&facts, Resource::Pods, "shop", "web-1-a");
    let mut budget = world().objects["poddisruptionbudgets.policy"][0].clone();
    budget["status"]["disruptionsAllowed"] = json!(2);
    put(&facts, Resource::Budgets, &budget);
    assert_eq!(drains(&facts)[0], Some(3_000 + 30_000));
    remove(&facts, Resource::Budgets, "shop", "guard");
    assert_eq!(drains(&facts)[0], Some(3_000 + 3 * 30_000));
}
