//! What runs, and what is made and starts.

use containerd_client::events::{ContainerCreate, TaskStart};
use containerd_client::services::v1::events_client::EventsClient;
use containerd_client::services::v1::tasks_client::TasksClient;
use containerd_client::services::v1::{ListTasksRequest, SubscribeRequest};
use containerd_client::types::Envelope;
use containerd_client::types::v1::Status as TaskStatus;
use prost::Message as _;
use std::collections::HashSet;
use std::pin::Pin;
use tonic::Streaming;

use super::client::{Containerd, MAX_MESSAGE, ReadError};

const CREATE: &str = "/containers/create";
const START: &str = "/tasks/start";

/// What has become of a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Its record is there.
    Recorded,
    /// Its first process has been started.
    Started,
}

/// A step of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Happened {
    /// What it is.
    pub step: Step,
    /// containerd's namespace.
    pub namespace: String,
    /// The container.
    pub id: String,
}

/// Steps of containers, as containerd tells of them, in every namespace.
pub struct Events(Subscription);

enum Subscription {
    /// Asked for. containerd's answer begins with the first event, however long that takes.
    Asked(Pin<Box<dyn Future<Output = Result<Streaming<Envelope>, ReadError>> + Send>>),
    Answered(Box<Streaming<Envelope>>),
    Ended,
}

impl Containerd {
    /// The ids of the containers of `namespace` that run, paused ones too. One RPC (`Tasks.List`).
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn running(&self, namespace: &str) -> Result<HashSet<String>, ReadError> {
        let namespaced = self.namespaced(namespace)?;
        let rpc = |channel| {
            let request = namespaced.request(ListTasksRequest { filter: String::new() });
            async move { { TasksClient::new(channel).max_decoding_message_size(MAX_MESSAGE) }.list(request).await }
        };
        let tasks = self.in_time(self.call("the list of tasks", rpc)).await?.tasks;
        let runs = |status| matches!(status, TaskStatus::Running | TaskStatus::Paused | TaskStatus::Pausing);
        // CRI knows a task by its container's id; the container's own member is of a later version.
        Ok(tasks.into_iter().filter(|task| runs(task.status())).map(|task| task.id).collect())
    }

    /// Subscribes to steps, with the first call of [`Events::next`]. What happened before, and between two
    /// subscriptions, is not told. One RPC (`Version`) to see that containerd is there, and one
    /// (`Events.Subscribe`) that goes on.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn events(&self) -> Result<Events, ReadError> {
        self.version().await?;
        let client = self.clone();
        let rpc = |channel| {
            let filters = [CREATE, START].map(|topic| format!("topic==\"{topic}\"")).into();
            let request = SubscribeRequest { filters };
            async move { EventsClient::new(channel).subscribe(request).await }
        };
        // No deadline: a node on which nothing happens has no first event.
        let asked = async move { client.call("its events", rpc).await };
        Ok(Events(Subscription::Asked(Box::pin(asked))))
    }
}

impl Events {
    /// The next step; none when the connection has ended. What cannot be understood is passed over.
    pub async fn next(&mut self) -> Option<Happened> {
        if let Subscription::Asked(asked) = &mut self.0 {
            let answer = asked.await;
            self.0 = answer.map_or(Subscription::Ended, |events| Subscription::Answered(Box::new(events)));
        }
        let Subscription::Answered(events) = &mut self.0 else { return None };
        while let Ok(Some(Envelope { namespace, topic, event: Some(event), .. })) = events.message().await {
            let bytes = event.value.as_slice();
            let (step, id) = match topic.as_str() {
                CREATE => (Step::Recorded, ContainerCreate::decode(bytes).map(|created| created.id)),
                START => (Step::Started, TaskStart::decode(bytes).map(|started| started.container_id)),
                _ => continue,
            };
            if let Ok(id) = id {
                return Some(Happened { step, namespace, id });
            }
        }
        self.0 = Subscription::Ended;
        None
    }
}
