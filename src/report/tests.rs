//! The words that screens share.

use super::words::{counted, took};

#[test]
fn spans_of_time_are_as_exact_as_a_person_needs() {
    let cases = [
        (-5, "0.0 s"),
        (250, "0.2 s"),
        (9_999, "9.9 s"),
        (10_000, "10 s"),
        (119_999, "119 s"),
        (120_000, "2 min 0 s"),
        (7_199_000, "119 min 59 s"),
        (7_200_000, "2 h 0 min"),
        (172_799_000, "47 h 59 min"),
        (172_800_000, "2 days 0 h"),
        (789_000_000, "9 days 3 h"),
    ];
    for (ms, expected) in cases {
        assert_eq!(took(ms), expected, "{ms}");
    }
}

#[test]
fn words_are_counted() {
    assert_eq!([counted(0, "node"), counted(1, "batch"), counted(3, "batch")], ["0 nodes", "1 batch", "3 batches"]);
}
