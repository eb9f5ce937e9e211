//! The embedded stream, with what it lacks: records that outlive the process, and the limits of AWS.

use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use rustack_kinesis_core::handler::RustackKinesisHandler;
use rustack_kinesis_core::provider::RustackKinesis;
use rustack_kinesis_http::body::KinesisResponseBody;
use rustack_kinesis_http::dispatch::KinesisHandler;
use rustack_kinesis_model::error::{KinesisError, KinesisErrorCode};
use rustack_kinesis_model::input::{PutRecordInput, PutRecordsInput};
use rustack_kinesis_model::operations::KinesisOperation;
use rustack_kinesis_model::output::{PutRecordOutput, PutRecordsOutput};
use rustack_kinesis_model::types::{PutRecordsRequestEntry, PutRecordsResultEntry};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::archive::Archive;
use crate::error::LocalError;
use crate::throttle::Throttle;

/// Records that are put back at once: PutRecords takes 500 records and 5 MiB.
const REPLAY: usize = 4;

/// What stands before the embedded stream: every record that is put goes through it.
#[derive(Clone)]
pub(crate) struct LocalStream {
    provider: Arc<RustackKinesis>,
    inner: Arc<RustackKinesisHandler>,
    /// Held over storing and archiving, so that both have one order.
    gate: Arc<Mutex<Gate>>,
}

/// What a record goes through before and after it is stored.
#[derive(Default)]
pub(crate) struct Gate {
    /// Refuses what is beyond the limits.
    pub throttle: Option<Throttle>,
    /// Keeps what was stored.
    pub archive: Option<Archive>,
}

impl LocalStream {
    pub(crate) fn new(provider: Arc<RustackKinesis>, gate: Gate) -> Self {
        let inner = Arc::new(RustackKinesisHandler::new(Arc::clone(&provider)));
        LocalStream { provider, inner, gate: Arc::new(Mutex::new(gate)) }
    }

    /// Puts archived records back into the stream, as if they arrived now.
    pub(crate) async fn replay(
        provider: &RustackKinesis,
        stream: &str,
        records: Vec<(String, Vec<u8>)>,
    ) -> Result<(), LocalError> {
        let mut records = records.into_iter().peekable();
        while records.peek().is_some() {
            let entries: Vec<PutRecordsRequestEntry> = records
                .by_ref()
                .take(REPLAY)
                .map(|(partition_key, data)| PutRecordsRequestEntry {
                    data: Bytes::from(data),
                    partition_key,
                    ..Default::default()
                })
                .collect();
            let input = PutRecordsInput {
                records: entries,
                stream_name: Some(stream.to_owned()),
                ..Default::default()
            };
            let output =
                provider.put_records(input).await.map_err(|error| LocalError::Replay(error.to_string()))?;
            if output.failed_record_count.unwrap_or(0) > 0 {
                return Err(LocalError::Replay("the stream refused a record".into()));
            }
        }
        Ok(())
    }

    async fn put_records(&self, mut input: PutRecordsInput) -> Result<PutRecordsOutput, KinesisError> {
        let mut gate = self.gate.lock().await;
        let now = Instant::now();
        let mut admitted = Vec::with_capacity(input.records.len());
        let all = std::mem::take(&mut input.records);
        for record in all {
            let size = record.data.len() + record.partition_key.len();
            let admit = gate.throttle.as_mut().is_none_or(|it| it.admit(&record.partition_key, size, now));
            if admit {
                input.records.push(record);
            }
            admitted.push(admit);
        }
        let records = input.records.clone();
        let mut output = PutRecordsOutput::default();
        if !records.is_empty() {
            output = self.provider.put_records(input).await?;
        }
        if let Some(throttle) = &mut gate.throttle {
            for (record, result) in records.iter().zip(&output.records) {
                throttle.learn(&record.partition_key, result.shard_id.as_deref().unwrap_or_default());
            }
        }
        if let Some(archive) = &mut gate.archive {
            keep(archive, &records)?;
        }
        drop(gate);
        let refused = admitted.iter().filter(|admitted| !**admitted).count();
        if refused > 0 {
            let mut stored = std::mem::take(&mut output.records).into_iter();
            let result = |admit: &bool| if *admit { stored.next() } else { Some(throttled()) };
            output.records = admitted.iter().filter_map(result).collect();
            let failed = output.failed_record_count.unwrap_or(0);
            output.failed_record_count =
                Some(failed.saturating_add(i32::try_from(refused).unwrap_or(i32::MAX)));
        }
        Ok(output)
    }

    async fn put_record(&self, input: PutRecordInput) -> Result<PutRecordOutput, KinesisError> {
        let record = PutRecordsRequestEntry {
            data: input.data,
            explicit_hash_key: input.explicit_hash_key,
            partition_key: input.partition_key,
        };
        let input = PutRecordsInput {
            records: vec![record],
            stream_name: input.stream_name,
            stream_arn: input.stream_arn,
            ..Default::default()
        };
        let output = self.put_records(input).await?;
        let result = output.records.into_iter().next().unwrap_or_default();
        if let Some(message) = result.error_message {
            let code = KinesisErrorCode::ProvisionedThroughputExceededException;
            return Err(KinesisError::with_message(code, message));
        }
        Ok(PutRecordOutput {
            sequence_number: result.sequence_number.unwrap_or_default(),
            shard_id: result.shard_id.unwrap_or_default(),
            ..Default::default()
        })
    }
}

type Answer = Pin<Box<dyn Future<Output = Result<http::Response<KinesisResponseBody>, KinesisError>> + Send>>;

impl KinesisHandler for LocalStream {
    fn handle_operation(&self, operation: KinesisOperation, body: Bytes) -> Answer {
        let malformed = |error: serde_json::Error| {
            KinesisError::with_message(KinesisErrorCode::InvalidArgumentException, error.to_string())
        };
        let stream = self.clone();
        match operation {
            KinesisOperation::PutRecords => Box::pin(async move {
                let input: PutRecordsInput = serde_json::from_slice(&body).map_err(malformed)?;
                respond(&stream.put_records(input).await?)
            }),
            KinesisOperation::PutRecord => Box::pin(async move {
                let input: PutRecordInput = serde_json::from_slice(&body).map_err(malformed)?;
                respond(&stream.put_record(input).await?)
            }),
            _ => self.inner.handle_operation(operation, body),
        }
    }
}

fn throttled() -> PutRecordsResultEntry {
    PutRecordsResultEntry {
        error_code: Some("ProvisionedThroughputExceededException".into()),
        error_message: Some("Rate exceeded for the shard".into()),
        ..Default::default()
    }
}

fn keep(archive: &mut Archive, records: &[PutRecordsRequestEntry]) -> Result<(), KinesisError> {
    archive.append(records).map_err(|error| {
        let message = format!("the archive {} can't be written: {error}", archive.path.display());
        KinesisError::with_message(KinesisErrorCode::InternalFailureException, message)
    })
}

fn respond(output: &impl serde::Serialize) -> Result<http::Response<KinesisResponseBody>, KinesisError> {
    let json = serde_json::to_vec(output).map_err(|error| {
        KinesisError::with_message(KinesisErrorCode::InternalFailureException, error.to_string())
    })?;
    Ok(rustack_kinesis_http::response::json_response(json, "local"))
}
