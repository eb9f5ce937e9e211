//! Which services the tests run on: embedded ones, or others that run already.

use replicante_aws::Endpoints;

/// One endpoint of all services. Those below go before it.
const ALL: &str = "REPLICANTE_TEST_AWS_ENDPOINT_URL";
const DYNAMODB: &str = "REPLICANTE_TEST_AWS_ENDPOINT_URL_DYNAMODB";
const SQS: &str = "REPLICANTE_TEST_AWS_ENDPOINT_URL_SQS";
const KINESIS: &str = "REPLICANTE_TEST_AWS_ENDPOINT_URL_KINESIS";

/// The endpoints that variables name; `None` when they name none, which means embedded services.
///
/// # Errors
/// Says which variables are missing: a mix of embedded and other services is nobody's intention.
pub(crate) fn endpoints(get: &dyn Fn(&str) -> Option<String>) -> Result<Option<Endpoints>, String> {
    let named = |name| get(name).or_else(|| get(ALL)).filter(|value| !value.is_empty());
    match (named(DYNAMODB), named(SQS), named(KINESIS)) {
        (None, None, None) => Ok(None),
        (Some(dynamodb), Some(sqs), Some(kinesis)) => Ok(Some(Endpoints { dynamodb, sqs, kinesis })),
        _ => Err(format!("give an endpoint to each of {DYNAMODB}, {SQS} and {KINESIS}, or {ALL} to all")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Option<Endpoints>, String> {
        let value = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value);
        endpoints(&|name| value(name).map(|value| (*value).to_owned()))
    }

    #[test]
    fn all_services_are_named_or_none() {
        assert_eq!(read(&[]), Ok(None));
        let one = read(&[(ALL, "http://all"), (KINESIS, "http://k")]).unwrap().unwrap();
        assert_eq!((&*one.dynamodb, &*one.sqs, &*one.kinesis), ("http://all", "http://all", "http://k"));
        let each = read(&[(DYNAMODB, "http://d"), (SQS, "http://s"), (KINESIS, "http://k")]);
        assert_eq!(each.unwrap().unwrap().sqs, "http://s");
        let problem = read(&[(DYNAMODB, "http://d")]).unwrap_err();
        assert!(problem.contains(SQS), "{problem}");
    }
}
