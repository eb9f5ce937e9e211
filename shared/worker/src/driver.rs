//! The driver: carries out the acts of one task.

use std::fmt::Display;
use std::time::Duration;

use futures::stream::{self, StreamExt};
use replicante_aws::{AwsError, Buried, ClaimError, FenceError, LoadError, Stream, Table};
use replicante_metrics::Measures;
use replicante_model::Timestamp;
use replicante_model::summary::Summary;
use replicante_protocol::head::Head;
use replicante_protocol::machine::{Machine, Outcome, Release, Reply, Step};
use replicante_protocol::slot::{Body, Outbox, Part, Slot, decode_state, encode_state};
use replicante_protocol::task::Task;
use replicante_settings::Settings;
use tokio::time::{Instant, timeout_at};

use crate::batch::Deadline;
use crate::job::{Context, Delivered, Job, Worked};
use crate::report::{Observer, TaskReport};

/// Items of a commit that are delivered at once.
const ITEMS_AT_ONCE: usize = 16;

/// What the workers of both kinds share. Cheap to clone.
#[derive(Clone)]
pub struct Worker {
    table: Table,
    stream: Stream,
    source: String,
    lease: Duration,
    margin: Duration,
    observer: Option<Observer>,
}

impl Worker {
    /// A worker with these settings.
    pub fn new(table: Table, stream: Stream, settings: &Settings) -> Self {
        Worker {
            table,
            stream,
            source: settings.source(),
            lease: settings.lease,
            margin: settings.margin,
            observer: None,
        }
    }

    /// The same worker, with somebody who is told how each task went.
    #[must_use]
    pub fn observed(mut self, observer: Observer) -> Self {
        self.observer = Some(observer);
        self
    }

    /// Runs one task to its end, and reports each claim that it took: at least one. The first says whether it is done,
    /// that is, whether its message may be deleted.
    ///
    /// Something large takes several claims, each with a commit of its own. They follow at once as long as there is
    /// time for one more; what is left then is due at once, and for the next invocation.
    pub async fn run<J: Job>(&self, job: &J, task: Task, deadline: Deadline) -> Vec<TaskReport> {
        let mut report = self.attempt(job, task, deadline).await;
        let mut reports = Vec::new();
        while report.more {
            let left = deadline.instant.saturating_duration_since(Instant::now());
            if left < report.duration + self.margin {
                break;
            }
            let task = report.task.clone().continued();
            reports.push(std::mem::replace(&mut report, self.attempt(job, task, deadline).await));
        }
        reports.push(report);
        reports
    }

    /// One claim, and what follows from it.
    async fn attempt<J: Job>(&self, job: &J, task: Task, deadline: Deadline) -> TaskReport {
        let began = Timestamp::now();
        let started = Instant::now();
        let mut run = Run {
            worker: self,
            job,
            table: self.table.metered(),
            stream: self.stream.metered(),
            holder: uuid::Uuid::new_v4().to_string(),
            began,
            started,
            deadline: deadline.instant,
            state: None,
            outbox: Outbox::default(),
            contested: Vec::new(),
            next: None,
            summary: None,
            told: None,
            committed: false,
            events: 0,
            more: false,
            measures: Measures::default(),
            error: None,
            task,
        };
        let outcome = run.drive().await;
        let report = TaskReport {
            late: run.task.stamp.map(|stamp| began.since(stamp)),
            began,
            outcome,
            duration: started.elapsed(),
            events: run.events,
            more: run.more,
            cost: run.table.cost() + run.stream.cost(),
            measures: run.measures,
            error: run.error,
            task: run.task,
        };
        report.log();
        if let Some(observer) = &self.observer {
            observer(&report);
        }
        report
    }
}

/// One task under way: the payload that the machine does not hold.
struct Run<'a, J: Job> {
    worker: &'a Worker,
    job: &'a J,
    task: Task,
    table: Table,
    stream: Stream,
    holder: String,
    began: Timestamp,
    started: Instant,
    deadline: Instant,
    /// The state that the head names; after work the new one.
    state: Option<J::State>,
    /// What the commit that the head names has to deliver.
    outbox: Outbox,
    /// Items that were refused: what they are about, and who owns it.
    contested: Vec<(String, String)>,
    /// The encoded state and outbox on their way into a slot.
    next: Option<(Vec<u8>, Outbox)>,
    summary: Option<Summary>,
    told: Option<u64>,
    committed: bool,
    events: u64,
    more: bool,
    measures: Measures,
    error: Option<String>,
}

impl<J: Job> Run<'_, J> {
    async fn drive(&mut self) -> Outcome {
        let mut machine = Machine::new(self.task.clone(), self.holder.clone());
        let mut step = machine.start();
        loop {
            let reply = match (&step, machine.head()) {
                (Step::Finish(outcome), _) => return *outcome,
                (Step::Claim, _) => self.claim().await,
                (Step::RaiseDone, _) => self.raise_done().await,
                (Step::Load(body), Some(head)) => self.load(head, *body).await,
                (Step::LoadOutbox(body), Some(head)) => self.load_outbox(head, body).await,
                (Step::Deliver { published }, Some(head)) => self.deliver(head, *published).await,
                (Step::Work { sequence, contested }, Some(head)) => {
                    self.work(head, *sequence, *contested).await
                }
                (Step::WriteSlot(slot), Some(head)) => self.write_slot(head, *slot).await,
                (Step::Commit(commit), Some(head)) => {
                    let summary = self.summary.as_ref().map(Summary::to_json);
                    let (record, summary) = (&head.record, summary.as_deref());
                    let sent = self.table.commit(record, head.fence, commit, summary, self.told).await;
                    if sent.is_ok() {
                        self.committed = true;
                        self.events = self.outbox.events.len() as u64;
                    }
                    self.fenced(sent, Reply::Committed)
                }
                (Step::Bury { wanted }, Some(head)) => self.bury(head, *wanted).await,
                (Step::Release(release), Some(head)) => self.release(head, release).await,
                // The machine asks for nothing but a claim before it has a head.
                (_, None) => Reply::Failed,
            };
            step = machine.next(reply);
        }
    }

    async fn claim(&mut self) -> Reply {
        match self.table.claim(&self.task, &self.holder, self.began, self.worker.lease).await {
            Ok(head) => Reply::Claimed(Box::new(head)),
            Err(ClaimError::Refused(head)) => Reply::ClaimRefused(head),
            Err(ClaimError::Aws(error)) => self.failed(&error),
        }
    }

    async fn raise_done(&mut self) -> Reply {
        let Some(stamp) = self.task.stamp else { return Reply::Done };
        match self.table.raise_done(&self.task.record, stamp).await {
            Ok(()) => Reply::Done,
            Err(error) => self.failed(&error),
        }
    }

    async fn load(&mut self, head: &Head, body: Option<Body>) -> Reply {
        let Some(body) = body else {
            self.state = Some(J::State::default());
            return Reply::Loaded;
        };
        let bytes = match self.chunks(head, &body, Part::State).await {
            Ok(bytes) => bytes,
            Err(reply) => return reply,
        };
        match decode_state(body.format, &bytes) {
            Ok(state) => {
                self.state = Some(state);
                Reply::Loaded
            }
            Err(source) => self.failed(&AwsError::Slot { record: head.record.key(), source }),
        }
    }

    async fn load_outbox(&mut self, head: &Head, body: &Body) -> Reply {
        let bytes = match self.chunks(head, body, Part::Outbox).await {
            Ok(bytes) => bytes,
            Err(reply) => return reply,
        };
        match Outbox::decode(body.format, &bytes) {
            Ok(outbox) => {
                self.outbox = outbox;
                Reply::Loaded
            }
            Err(source) => self.failed(&AwsError::Slot { record: head.record.key(), source }),
        }
    }

    async fn chunks(&mut self, head: &Head, body: &Body, part: Part) -> Result<Vec<u8>, Reply> {
        match self.table.load(&head.record, body, part).await {
            Ok(bytes) => Ok(bytes),
            Err(LoadError::Mismatch(chunk)) => Err(self.mismatch(head, body, &chunk).await),
            Err(LoadError::Aws(error)) => Err(self.failed(&error)),
        }
    }

    /// A chunk does not carry the fence that the head names. Whoever writes over it has claimed the record first;
    /// if nobody has, the chunk is lost or damaged, and no later claim will find it better.
    async fn mismatch(&mut self, head: &Head, body: &Body, chunk: &str) -> Reply {
        match self.table.head(&head.record).await {
            Ok(Some(now)) if now.fence == head.fence => self.failed(&format!(
                "chunk {chunk} of {} is damaged: it does not carry the fence {} that the head names, and nobody \
                 took over; restore the table",
                head.record, body.fence
            )),
            Ok(_) => Reply::Mismatch,
            Err(error) => self.failed(&error),
        }
    }

    /// Publishes the outbox's events above `published` and writes its items.
    async fn deliver(&mut self, head: &Head, published: u64) -> Reply {
        let outbox = std::mem::take(&mut self.outbox);
        let behind = (published + 1).saturating_sub(outbox.first);
        let from = usize::try_from(behind).unwrap_or(usize::MAX).min(outbox.events.len());
        let until = self.publish_until();
        let (accepted, problem) =
            self.stream.publish(&head.record.key(), &outbox.events[from..], until).await;
        let published = published.max((outbox.first + (from + accepted) as u64).saturating_sub(1));
        if let Some(error) = problem {
            self.failed(&error);
            return Reply::Delivered { published, complete: false, contested: false };
        }
        self.contested.clear();
        let context = self.context(head, head.sequence);
        let mut deliveries = Vec::with_capacity(outbox.items.len());
        for item in &outbox.items {
            deliveries.push(timeout_at(until, self.job.deliver(&context, item)));
        }
        let mut deliveries = stream::iter(deliveries).buffer_unordered(ITEMS_AT_ONCE);
        let mut contested = Vec::new();
        let mut failure = None;
        while let Some(delivered) = deliveries.next().await {
            match delivered {
                Ok(Ok(Delivered::Done)) => {}
                Ok(Ok(Delivered::Contested { id, owner })) => contested.push((id, owner)),
                Ok(Ok(Delivered::TakenOver)) => return Reply::TakenOver,
                Ok(Err(error)) => {
                    failure = Some(error.to_string());
                    break;
                }
                Err(_) => {
                    failure = Some("the items of the commit were not all written before the deadline".into());
                    break;
                }
            }
        }
        drop(deliveries);
        if failure.is_some() {
            self.error = failure;
            return Reply::Delivered { published, complete: false, contested: false };
        }
        self.contested = contested;
        Reply::Delivered { published, complete: true, contested: !self.contested.is_empty() }
    }

    async fn work(&mut self, head: &Head, sequence: u64, contested: bool) -> Reply {
        // What was owed is out: that is progress, and more than a rushed look at the source would be.
        let left = self.deadline.saturating_duration_since(Instant::now());
        if head.owed && !contested && left < self.worker.margin {
            return Reply::NoTime;
        }
        let state = self.state.clone().unwrap_or_default();
        let context = self.context(head, sequence);
        let worked = if contested {
            self.job.contested(&context, state, &self.contested)
        } else {
            self.job.work(&context, state).await
        };
        match worked {
            Ok(worked) => self.worked(sequence, worked),
            Err(error) => self.failed(&error),
        }
    }

    fn worked(&mut self, sequence: u64, worked: Worked<J::State>) -> Reply {
        self.measures = worked.measures;
        if worked.ended {
            return Reply::Ended;
        }
        self.summary = Some(worked.summary);
        self.told = worked.told;
        if !worked.store {
            return Reply::Unchanged;
        }
        let bytes = match encode_state(&worked.state) {
            Ok(bytes) => bytes,
            Err(source) => return self.failed(&AwsError::Slot { record: self.task.record.key(), source }),
        };
        self.state = Some(worked.state);
        let events = worked.events.len() as u64;
        let outbox = Outbox {
            events: worked.events.into_iter().map(|event| event.bytes).collect(),
            first: sequence + 1,
            items: worked.items,
        };
        let reply = Reply::Worked { events, items: !outbox.items.is_empty(), more: worked.more };
        self.next = Some((bytes, outbox));
        reply
    }

    async fn write_slot(&mut self, head: &Head, slot: Slot) -> Reply {
        let Some((state, outbox)) = self.next.take() else { return Reply::Failed };
        let encoded = match outbox.encode() {
            Ok(encoded) => encoded,
            Err(source) => return self.failed(&AwsError::Slot { record: head.record.key(), source }),
        };
        self.outbox = outbox;
        match self.table.write_slot(&head.record, slot, head.fence, &state, &encoded).await {
            Ok(body) => Reply::Written(body),
            Err(FenceError::TakenOver) => Reply::TakenOver,
            Err(FenceError::Aws(error)) => self.failed(&error),
        }
    }

    async fn bury(&mut self, head: &Head, wanted: u64) -> Reply {
        match self.table.bury(head, wanted, self.began).await {
            Ok(Buried::Done) => {
                if let Err(error) = self.table.clear_body(&head.record, head.fence).await {
                    tracing::warn!(record = %head.record, %error, "what it had stored is left behind");
                }
                Reply::Done
            }
            Ok(Buried::Wanted) => Reply::Wanted,
            Ok(Buried::TakenOver) => Reply::TakenOver,
            Err(error) => self.failed(&error),
        }
    }

    async fn release(&mut self, head: &Head, release: &Release) -> Reply {
        // A list shows what is stored, not what was on its way there.
        let known = self.summary.take().filter(|_| release.success || self.committed);
        let mut summary = known.unwrap_or_else(|| Summary::parse(head.summary.as_deref()));
        summary.at = self.began;
        summary.ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        summary.outcome = if release.success { "ok" } else { "failed" }.into();
        if let Some(error) = self.error.as_deref().filter(|_| !release.success) {
            summary.set_reason(Some(error));
        }
        let now = Timestamp::now();
        let sent = self.table.release(&head.record, head.fence, release, Some(&summary.to_json()), now).await;
        self.more = release.due_at_once && sent.is_ok();
        self.fenced(sent, Reply::Done)
    }

    fn fenced(&mut self, sent: Result<(), FenceError>, done: Reply) -> Reply {
        match sent {
            Ok(()) => done,
            Err(FenceError::TakenOver) => Reply::TakenOver,
            Err(FenceError::Aws(error)) => self.failed(&error),
        }
    }

    fn failed(&mut self, error: &impl Display) -> Reply {
        self.error.get_or_insert_with(|| error.to_string());
        Reply::Failed
    }

    fn context<'c>(&'c self, head: &'c Head, sequence: u64) -> Context<'c> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        Context {
            task: &self.task,
            head,
            source: &self.worker.source,
            sequence,
            now: self.began,
            gather_until: self.deadline - self.worker.margin.min(left / 2),
            table: &self.table,
        }
    }

    /// Publishing ends a little before the deadline, so that the release still gets out.
    fn publish_until(&self) -> Instant {
        let left = self.deadline.saturating_duration_since(Instant::now());
        self.deadline - (self.worker.margin / 4).min(left / 2)
    }
}
