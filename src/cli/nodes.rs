//! `sprag nodes`: whose the cordons of a cluster are.

use clap::Args;
use serde_json::{Value, json};

use crate::actions::ownership::{Cordoned, KnownRuns, Mark, Standing, cordoned};
use crate::outside::Outside;
use crate::report::took;

use super::login::LoginArgs;
use super::output::{Format, Output};
use super::run::RunsArgs;
use super::standing::RunsHere;
use super::{Exit, Failed, block_on};

/// Of which cluster, and against which runs.
#[derive(Debug, Args)]
pub(super) struct NodesArgs {
    #[command(flatten)]
    runs: RunsArgs,
    #[command(flatten)]
    login: LoginArgs,
}

/// `sprag nodes`
pub(super) fn nodes(args: &NodesArgs, output: &Output) -> Result<Exit, Failed> {
    let outside = Outside::system();
    let nodes = block_on(async {
        let connection = args.login.connect(&outside).await?;
        Ok(cordoned(&connection.requests).await?)
    })?;
    let runs = RunsHere(args.runs.open());
    match output.format {
        Format::Json => {
            let nodes: Vec<Value> = nodes.iter().map(|node| as_json(node, &runs)).collect();
            output.json(&json!({ "schema": 1, "nodes": nodes }))?;
        }
        Format::Text => output.result(&as_text(&nodes, &runs, outside.clock.now()))?,
    }
    Ok(Exit::Done)
}

fn standing(mark: &Mark, runs: &dyn KnownRuns) -> Standing {
    runs.standing(&mark.run, &mark.key)
}

fn as_json(node: &Cordoned, runs: &dyn KnownRuns) -> Value {
    json!({
        "node": node.node.name,
        "cordoned": node.is_cordoned,
        "mark": node.mark,
        "standing": node.mark.as_ref().map(|mark| standing(mark, runs)),
    })
}

fn as_text(nodes: &[Cordoned], runs: &dyn KnownRuns, now: i64) -> String {
    if nodes.is_empty() {
        return "no node is cordoned, and none bears a mark\n".to_owned();
    }
    let rows = nodes.iter().map(|node| {
        let state = if node.is_cordoned { "cordoned" } else { "schedulable" };
        let [whose, since, next] = match &node.mark {
            Some(mark) => {
                let since = mark.since().map_or_else(|| mark.at.clone(), |since| format!("{} ago", took(now - since)));
                [mark.to_string(), since, what_next(mark, standing(mark, runs))]
            }
            None => ["someone else".to_owned(), String::new(), "it bears no mark: sprag leaves it".to_owned()],
        };
        vec![node.node.name.clone(), state.to_owned(), whose, since, next]
    });
    columns(rows.collect())
}

/// Rows whose cells stand below each other; the last has no blanks behind it.
fn columns(rows: Vec<Vec<String>>) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..rows.first().map_or(0, Vec::len)).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        format!("{}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}

/// How that run stands, and what lifts its mark.
fn what_next(mark: &Mark, standing: Standing) -> String {
    let run = &mark.run;
    match standing {
        Standing::Driven => "is under way".to_owned(),
        Standing::Open => format!("can be resumed: `sprag resume {run}`"),
        Standing::Ended => format!("has ended: `sprag release {run}` lifts it"),
        Standing::Unknown => format!("its journal is not here: `sprag release {run}` lifts it"),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::catalog::types::Kind;
    use crate::catalog::value::ObjectRef;

    struct Known;

    impl KnownRuns for Known {
        fn standing(&self, run: &str, _key: &str) -> Standing {
            if run == "7c1f-01" { Standing::Ended } else { Standing::Unknown }
        }
    }

    fn node(name: &str, is_cordoned: bool, run: Option<&str>) -> Cordoned {
        let (name, uid) = (name.to_owned(), name.to_owned());
        let node = Arc::new(ObjectRef { kind: Kind::Node, namespace: String::new(), name, uid });
        let mark = run.map(|run| Mark {
            run: run.to_owned(),
            key: String::new(),
            step: "n/cordon".to_owned(),
            by: "laptop/anna".to_owned(),
            at: "2027-01-15T08:00:00Z".to_owned(),
        });
        Cordoned { node, is_cordoned, mark }
    }

    #[test]
    fn each_cordon_says_whose_it_is_and_what_lifts_it() {
        let nodes = [node("a", true, Some("7c1f-01")), node("bc", false, Some("9e00-02")), node("d", true, None)];
        let now = "2027-01-15T08:00:30Z".parse::<jiff::Timestamp>().unwrap().as_millisecond();
        let text = "\
a   cordoned     run 7c1f-01 of laptop/anna  30 s ago  has ended: `sprag release 7c1f-01` lifts it
bc  schedulable  run 9e00-02 of laptop/anna  30 s ago  its journal is not here: `sprag release 9e00-02` lifts it
d   cordoned     someone else                          it bears no mark: sprag leaves it
";
        assert_eq!(as_text(&nodes, &Known, now), text);
        assert_eq!(as_text(&[], &Known, now), "no node is cordoned, and none bears a mark\n");
        let json = as_json(&nodes[0], &Known);
        assert_eq!((&json["standing"], &json["mark"]["run"]), (&json!("ended"), &json!("7c1f-01")));
    }
}
