//! Counts and shares of a whole (LANGUAGE.md section 4), for what the plan can say of a rollout before it begins.

use super::graph::Size;

/// How many elements each batch of a whole holds: shares rounded up, at least one each, the last size repeats. `None`
/// where a size is known only as the rollout begins.
pub fn batch_sizes(sizes: &[Size], whole: usize) -> Option<Vec<usize>> {
    batches_by(sizes, whole, |size| up(size, whole).ok_or(())).ok()
}

/// The same with each size, as it is come to, put into a count by `count`.
///
/// # Errors
/// What `count` says of the first size that has none.
pub fn batches_by<E>(
    sizes: &[Size],
    whole: usize,
    mut count: impl FnMut(&Size) -> Result<usize, E>,
) -> Result<Vec<usize>, E> {
    let mut batches = Vec::new();
    let mut left = whole;
    let mut sizes = sizes.iter();
    let mut last = &Size::Rest;
    while left > 0 {
        last = sizes.next().unwrap_or(last);
        let size = count(last)?.clamp(1, left);
        batches.push(size);
        left -= size;
    }
    Ok(batches)
}

/// A count, or a share of a whole rounded down. `None` where it is known only as the rollout begins.
pub fn at_most(size: &Size, whole: usize) -> Option<usize> {
    match size {
        Size::Share(percent) => Some(share_down(*percent, whole)),
        other => up(other, whole),
    }
}

fn up(size: &Size, whole: usize) -> Option<usize> {
    match size {
        Size::Count(count) => Some(usize::try_from(*count).unwrap_or(0)),
        Size::Share(percent) => Some(share_up(*percent, whole)),
        Size::Rest => Some(whole),
        Size::Code(_) => None,
    }
}

/// A share of a whole rounded up; what is a whole number but for the error of floating point stays it.
pub fn share_up(percent: f64, whole: usize) -> usize {
    within((exact(percent, whole) - 1e-9).ceil(), whole)
}

/// A share of a whole rounded down; what is a whole number but for the error of floating point stays it.
pub fn share_down(percent: f64, whole: usize) -> usize {
    within((exact(percent, whole) + 1e-9).floor(), whole)
}

fn exact(percent: f64, whole: usize) -> f64 {
    whole as f64 * percent / 100.0
}

fn within(rounded: f64, whole: usize) -> usize {
    rounded.clamp(0.0, whole as f64) as usize
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
