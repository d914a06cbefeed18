//! How long work takes in a number of places.

use crate::catalog::value::Value;

/// When the last of these lengths ends if each begins in order as a place is free, and those of one key one after the
/// other. In the unit of the lengths.
pub(super) fn makespan(lengths: &[i64], keys: Option<&[Value]>, places: usize) -> i64 {
    let mut free = vec![0_i64; places.clamp(1, lengths.len().max(1))];
    let mut last_of: Vec<(&Value, i64)> = Vec::new();
    let mut end = 0;
    for (index, length) in lengths.iter().enumerate() {
        let key = keys.and_then(|keys| keys.get(index));
        let of_key = key.and_then(|key| last_of.iter().position(|(known, _)| *known == key));
        let place = (0..free.len()).min_by_key(|place| free[*place]).unwrap_or(0);
        let begin = free[place].max(of_key.map_or(0, |at| last_of[at].1));
        let ends = begin.saturating_add(*length);
        free[place] = ends;
        match (of_key, key) {
            (Some(at), _) => last_of[at].1 = ends,
            (None, Some(key)) => last_of.push((key, ends)),
            (None, None) => {}
        }
        end = end.max(ends);
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_as_there_are_places_and_one_of_a_key() {
        assert_eq!(makespan(&[], None, 3), 0);
        assert_eq!(makespan(&[3, 2, 2], None, 1), 7);
        assert_eq!(makespan(&[3, 2, 2], None, 2), 4);
        assert_eq!(makespan(&[3, 2, 2], None, 9), 3);
        let keys: Vec<Value> = ["a", "a", "b"].into_iter().map(Value::string).collect();
        assert_eq!(makespan(&[3, 2, 2], Some(&keys), 3), 5);
        assert_eq!(makespan(&[3, 2, 2], Some(&keys), 1), 7);
    }
}
