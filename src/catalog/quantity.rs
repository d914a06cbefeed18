//! Amounts of resources as Kubernetes writes them (`500m`, `2Gi`, `1e3`), compared as numbers.
//!
//! The rules are those of apimachinery's `pkg/api/resource/quantity.go`.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// An amount in thousandths of its unit, so that `500m` is exact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Quantity {
    /// Thousandths.
    pub milli: i128,
}

impl Quantity {
    /// That many whole units.
    pub fn whole(units: i64) -> Self {
        Self { milli: i128::from(units) * 1000 }
    }

    /// The amount in units, rounded to double precision.
    pub fn as_f64(self) -> f64 {
        self.milli as f64 / 1000.0
    }

    /// Compares with a whole number of units.
    pub fn compare_whole(self, units: i64) -> Ordering {
        self.cmp(&Self::whole(units))
    }
}

impl FromStr for Quantity {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not a quantity like 500m, 2 or 4Gi");
        let body = text.trim();
        let end = body.find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | '+' | '-'))).unwrap_or(body.len());
        let (number, unit) = body.split_at(end);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let negative = whole.starts_with('-');
        let digits = whole.strip_prefix(['+', '-']).unwrap_or(whole);
        if (digits.is_empty() && fraction.is_empty())
            || !digits.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit())
        {
            return Err(wrong());
        }
        let (multiplier, divisor) = scale(unit).ok_or_else(wrong)?;
        let mut value: i128 = 0;
        for digit in digits.bytes().chain(fraction.bytes()) {
            value = value.checked_mul(10).and_then(|v| v.checked_add(i128::from(digit - b'0'))).ok_or_else(wrong)?;
        }
        let places = u32::try_from(fraction.len()).map_err(|_| wrong())?;
        let below = 10i128.checked_pow(places).and_then(|p| p.checked_mul(divisor)).ok_or_else(wrong)?;
        let above = value.checked_mul(multiplier).and_then(|v| v.checked_mul(1000)).ok_or_else(wrong)?;
        // As apimachinery does: what is finer than can be kept is rounded up, away from zero.
        let milli = above / below + i128::from(above % below != 0);
        Ok(Self { milli: if negative { -milli } else { milli } })
    }
}

/// Multiplier and divisor of a unit.
fn scale(unit: &str) -> Option<(i128, i128)> {
    const KI: i128 = 1024;
    let kilo = 1000i128;
    Some(match unit {
        "" => (1, 1),
        "n" => (1, 1_000_000_000),
        "u" => (1, 1_000_000),
        "m" => (1, 1000),
        "k" => (kilo, 1),
        "M" => (kilo.pow(2), 1),
        "G" => (kilo.pow(3), 1),
        "T" => (kilo.pow(4), 1),
        "P" => (kilo.pow(5), 1),
        "E" => (kilo.pow(6), 1),
        "Ki" => (KI, 1),
        "Mi" => (KI.pow(2), 1),
        "Gi" => (KI.pow(3), 1),
        "Ti" => (KI.pow(4), 1),
        "Pi" => (KI.pow(5), 1),
        "Ei" => (KI.pow(6), 1),
        exponent => {
            let power: i32 = exponent.strip_prefix(['e', 'E'])?.parse().ok()?;
            let size = 10i128.checked_pow(power.unsigned_abs())?;
            if power < 0 { (1, size) } else { (size, 1) }
        }
    })
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.milli % 1000 != 0 {
            return write!(f, "{}m", self.milli);
        }
        let units = self.milli / 1000;
        const SUFFIXES: [&str; 7] = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
        let mut scaled = units;
        let mut steps = 0;
        while scaled != 0 && scaled % 1024 == 0 && steps + 1 < SUFFIXES.len() {
            scaled /= 1024;
            steps += 1;
        }
        write!(f, "{scaled}{}", SUFFIXES[steps])
    }
}

impl TryFrom<String> for Quantity {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Quantity> for String {
    fn from(quantity: Quantity) -> Self {
        quantity.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_forms_of_kubernetes_are_read() {
        for (text, milli) in [
            ("500m", 500),
            ("2", 2000),
            ("0.5", 500),
            ("1e3", 1_000_000),
            ("1k", 1_000_000),
            ("1Ki", 1_024_000),
            ("1.5Gi", 1_610_612_736_000),
            ("1n", 1),
            ("-1", -1000),
        ] {
            assert_eq!(text.parse::<Quantity>().unwrap().milli, milli, "{text}");
        }
        for text in ["", "Gi", "1x", "1.2.3", "--1", "1-", "99999999999999999999999999999999999999999"] {
            assert!(text.parse::<Quantity>().is_err(), "{text}");
        }
    }
}
