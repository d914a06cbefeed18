//! Numbers that are counts or shares of a total: how many pods may be missing, or be there beyond what is asked for.

use k8s_openapi::api::apps::v1::{DeploymentSpec, RollingUpdateDeployment};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

/// A count as it is, or a share of a total, rounded up or down (apimachinery, util/intstr).
///
/// # Errors
/// A text that is no percentage, in the words of the real controllers.
pub fn scaled(value: &IntOrString, total: i64, is_up: bool) -> Result<i64, String> {
    match value {
        IntOrString::Int(count) => Ok(i64::from(*count)),
        IntOrString::String(text) => {
            let wrong = || "invalid value for IntOrString: invalid type: string is not a percentage".to_owned();
            let percent: i64 = text.strip_suffix('%').and_then(|number| number.parse().ok()).ok_or_else(wrong)?;
            let hundredths = percent * total;
            Ok(if is_up {
                hundredths.div_euclid(100) + i64::from(hundredths.rem_euclid(100) > 0)
            } else {
                hundredths / 100
            })
        }
    }
}

/// How many pods a Deployment may have beyond its replicas, and how many may be missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fenceposts {
    /// Beyond.
    pub surge: i64,
    /// Missing.
    pub unavailable: i64,
}

impl Fenceposts {
    /// Of a Deployment; both 0 where it has no rolling update (deployment/util/deployment_util.go MaxSurge, MaxUnavailable,
    /// ResolveFenceposts: the surge is rounded up, what may be missing down, and one of them is at least 1).
    pub fn of(spec: &DeploymentSpec) -> Self {
        let replicas = i64::from(spec.replicas.unwrap_or(1));
        let strategy = spec.strategy.as_ref();
        if strategy.and_then(|strategy| strategy.type_.as_deref()).unwrap_or("RollingUpdate") != "RollingUpdate" {
            return Self { surge: 0, unavailable: 0 };
        }
        let quarter = || IntOrString::String("25%".to_owned());
        let RollingUpdateDeployment { max_surge, max_unavailable } =
            strategy.and_then(|strategy| strategy.rolling_update.clone()).unwrap_or_default();
        let surge = scaled(&max_surge.unwrap_or_else(quarter), replicas, true).unwrap_or(0);
        let unavailable = scaled(&max_unavailable.unwrap_or_else(quarter), replicas, false).unwrap_or(0);
        let unavailable = if surge == 0 && unavailable == 0 { 1 } else { unavailable };
        Self { surge, unavailable: unavailable.min(replicas) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deployment(replicas: i32, surge: &str, unavailable: &str) -> Fenceposts {
        let share = |text: &str| Some(IntOrString::String(text.to_owned()));
        let rolling_update = RollingUpdateDeployment { max_surge: share(surge), max_unavailable: share(unavailable) };
        let mut spec = DeploymentSpec { replicas: Some(replicas), ..DeploymentSpec::default() };
        spec.strategy.get_or_insert_default().rolling_update = Some(rolling_update);
        Fenceposts::of(&spec)
    }

    #[test]
    fn fenceposts_are_rounded_in_favour_of_what_is_there() {
        for (replicas, surge, unavailable, expected) in [
            (2, "0%", "1%", (0, 1)),
            (1, "0%", "1%", (0, 1)),
            (2, "1%", "25%", (1, 0)),
            (1, "1%", "0%", (1, 0)),
            (10, "25%", "25%", (3, 2)),
            (4, "25%", "25%", (1, 1)),
            (3, "0%", "200%", (0, 3)),
            (0, "0%", "25%", (0, 0)),
        ] {
            let Fenceposts { surge: more, unavailable: less } = deployment(replicas, surge, unavailable);
            assert_eq!((more, less), expected, "{replicas} replicas, {surge} more, {unavailable} less");
        }
    }
}
