//! The verdict of a rehearsal, for people.

use std::fmt::Write as _;

use super::words::{clock, counted, took};
use crate::rehearse::verdict::{Availability, ElementTime, Spread, Stuck, Verdict};

/// How many rows of a list are shown where nobody asked for all.
const ROWS: usize = 20;

/// The verdict as text: what was assumed, how long, what blocks, what becomes of the workloads. `all` shows every element.
pub fn render_verdict(verdict: &Verdict, all: bool) -> String {
    let mut out = String::new();
    let seeds = counted(verdict.seeds, "seed");
    let _ = writeln!(out, "{} on {} as of {}, {seeds}\n", verdict.playbook, verdict.world, clock(verdict.as_of));
    for (what, steps) in &verdict.assumed {
        let _ = writeln!(out, "  assumed           {what} ({})", counted(*steps, "step"));
    }
    if !verdict.assumed.is_empty() {
        out.push('\n');
    }
    if verdict.goes_through() {
        let _ = writeln!(out, "  goes through in   {}{}", spread(verdict.took), and_waiting(verdict.waiting));
        let _ = writeln!(out, "  would get stuck   nowhere");
    } else {
        let _ = writeln!(out, "  does not go through with {} of {seeds}", verdict.seeds - verdict.through);
        for stuck in &verdict.stuck {
            render_stuck(&mut out, stuck, verdict.seeds);
        }
        if verdict.through > 0 {
            let _ = writeln!(out, "  otherwise in      {}{}", spread(verdict.took), and_waiting(verdict.waiting));
        }
    }
    render_slowed(&mut out, verdict);
    render_capacity(&mut out, verdict);
    render_availability(&mut out, &verdict.availability);
    render_elements(&mut out, &verdict.elements, all);
    out
}

fn spread(spread: Spread) -> String {
    if spread.least == spread.most {
        return took(spread.median);
    }
    format!("{}   ({} to {})", took(spread.median), took(spread.least), took(spread.most))
}

fn and_waiting(waiting: i64) -> String {
    if waiting == 0 { String::new() } else { format!("   + {} of waiting", took(waiting)) }
}

fn render_stuck(out: &mut String, stuck: &Stuck, seeds: usize) {
    let code = if stuck.code.is_empty() { String::new() } else { format!(" [{}]", stuck.code) };
    let of = if stuck.seeds == seeds { String::new() } else { format!(", with {} of {seeds} seeds", stuck.seeds) };
    let _ = writeln!(out, "  would get stuck   {} after {}{of}{code}", stuck.step, took(stuck.after));
    let _ = writeln!(out, "                    {}", stuck.message);
    for detail in &stuck.details {
        let _ = writeln!(out, "                    {detail}");
    }
    if let Some(help) = &stuck.help {
        let _ = writeln!(out, "                    help: {help}");
    }
}

fn render_slowed(out: &mut String, verdict: &Verdict) {
    let mut head = "close calls";
    for held in &verdict.held {
        let drains = counted(held.drains, "drain");
        let _ = writeln!(out, "  {head:<17} budget {} held {drains} back {} in all", held.budget, took(held.lasted));
        head = "";
    }
    let mut head = "slow starters";
    for slow in &verdict.slow {
        let init =
            if slow.init > 0 { format!(", {} of it its init containers", took(slow.init)) } else { String::new() };
        let starts = counted(slow.starts, "start");
        let _ = writeln!(out, "  {head:<17} {} takes {} to be ready{init} ({starts})", slow.workload, took(slow.took));
        head = "";
    }
}

fn render_capacity(out: &mut String, verdict: &Verdict) {
    if let Some(room) = &verdict.room {
        let nodes = counted(room.nodes, "node");
        let (cpu, memory, after) = (room.cpu, room.memory, took(room.after));
        let _ = writeln!(
            out,
            "  capacity          least room {cpu:.0} % of CPU and {memory:.0} % of memory, on {nodes} after {after}"
        );
    }
    if verdict.unplaced.is_empty() {
        let _ = writeln!(out, "                    no pod was long without room");
    }
    for pod in verdict.unplaced.iter().take(ROWS) {
        let end = if pod.found { format!("for {}", took(pod.lasted)) } else { "to the end".to_owned() };
        let _ = writeln!(out, "  no room           {} from {} on, {end}: {}", pod.pod, took(pod.after), pod.why);
    }
    if let Some(more) = verdict.unplaced.len().checked_sub(ROWS).filter(|more| *more > 0) {
        let _ = writeln!(out, "                    and {}", counted(more, "pod"));
    }
}

fn render_availability(out: &mut String, rows: &[Availability]) {
    if rows.is_empty() {
        return;
    }
    let width = rows.iter().map(|row| row.workload.len()).max().unwrap_or(0).max(12);
    let _ = writeln!(
        out,
        "\n  {:<width$}   desired  lowest ready  after           below for       moved twice",
        "availability"
    );
    for row in rows.iter().take(ROWS) {
        let budget = if row.has_budget == Some(false) { "   no budget" } else { "" };
        let during = row.during.as_ref().map(|element| format!("   {element}")).unwrap_or_default();
        let (after, below) = (took(row.after), took(row.below));
        let line = format!(
            "  {:<width$}   {:>7}  {:>12}  {after:<14}  {below:<14}  {:>11}{budget}{during}",
            row.workload, row.desired, row.lowest, row.moved_twice
        );
        let _ = writeln!(out, "{}", line.trim_end());
    }
    if let Some(more) = rows.len().checked_sub(ROWS).filter(|more| *more > 0) {
        let _ = writeln!(out, "  and {}", counted(more, "workload"));
    }
}

fn render_elements(out: &mut String, elements: &[ElementTime], all: bool) {
    let mut head = None;
    for (index, element) in elements.iter().enumerate() {
        let batch = (element.rollout.as_str(), element.batch);
        if head != Some(batch) {
            head = Some(batch);
            let of: Vec<&ElementTime> =
                elements.iter().filter(|one| (one.rollout.as_str(), one.batch) == batch).collect();
            let begun = of.iter().map(|one| one.after).min().unwrap_or(0);
            let ended = of.iter().map(|one| one.after + one.took).max().unwrap_or(0);
            let _ = writeln!(
                out,
                "\n  {}  batch {} of {}   {}   from {} on, {}",
                element.rollout,
                element.batch,
                element.batches,
                counted(of.len(), "element"),
                took(begun),
                took(ended - begun)
            );
        }
        if all || index < ROWS {
            let _ = writeln!(out, "    {:<24} {}", element.element, took(element.took));
        } else if index == ROWS {
            let _ = writeln!(out, "    and {}", counted(elements.len() - ROWS, "element"));
        }
    }
}
