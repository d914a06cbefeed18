//! Counts and shares of a whole (LANGUAGE.md section 4), for what the plan can say of a rollout before it begins.

use super::graph::Size;

/// How many elements each batch of a whole holds: shares rounded up, at least one each, the last size repeats. `None`
/// where a size is known only as the rollout begins.
pub fn batch_sizes(sizes: &[Size], whole: usize) -> Option<Vec<usize>> {
    let mut batches = Vec::new();
    let mut left = whole;
    let mut sizes = sizes.iter();
    let mut last = &Size::Rest;
    while left > 0 {
        last = sizes.next().unwrap_or(last);
        let size = up(last, whole)?.clamp(1, left);
        batches.push(size);
        left -= size;
    }
    Some(batches)
}

/// A count, or a share of a whole rounded down. `None` where it is known only as the rollout begins.
pub fn at_most(size: &Size, whole: usize) -> Option<usize> {
    match size {
        // What is a whole number but for the error of floating point stays it.
        Size::Share(percent) => Some((exact(*percent, whole) + 1e-9).floor().max(0.0) as usize),
        other => up(other, whole),
    }
}

fn up(size: &Size, whole: usize) -> Option<usize> {
    match size {
        Size::Count(count) => Some(usize::try_from(*count).unwrap_or(0)),
        Size::Share(percent) => Some((exact(*percent, whole) - 1e-9).ceil().max(0.0) as usize),
        Size::Rest => Some(whole),
        Size::Code(_) => None,
    }
}

fn exact(percent: f64, whole: usize) -> f64 {
    whole as f64 * percent / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_rounded_and_the_last_size_repeats() {
        let sizes = [Size::Count(1), Size::Share(25.0)];
        assert_eq!(batch_sizes(&sizes, 9), Some(vec![1, 3, 3, 2]));
        assert_eq!(batch_sizes(&[Size::Count(1), Size::Rest], 4), Some(vec![1, 3]));
        assert_eq!(batch_sizes(&[], 4), Some(vec![4]));
        assert_eq!(batch_sizes(&sizes, 0), Some(vec![]));
        assert_eq!(batch_sizes(&[Size::Share(10.0)], 30).map(|sizes| sizes.len()), Some(10), "3 and not 4 a batch");
        assert_eq!(at_most(&Size::Share(10.0), 19), Some(1));
        assert_eq!(at_most(&Size::Share(10.0), 30), Some(3));
    }
}
