//! What runs, and what starts.

use containerd_client::events::TaskStart;
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

const START: &str = "/tasks/start";

/// A container's first process has been started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Start {
    /// containerd's namespace.
    pub namespace: String,
    /// The container.
    pub id: String,
}

/// Starts, as containerd tells of them, in every namespace.
pub struct Starts(Subscription);

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

    /// Subscribes to starts, with the first call of [`Starts::next`]. What started before, and between two
    /// subscriptions, is not told. One RPC (`Version`) to see that containerd is there, and one
    /// (`Events.Subscribe`) that goes on.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn starts(&self) -> Result<Starts, ReadError> {
        self.version().await?;
        let client = self.clone();
        let rpc = |channel| {
            let request = SubscribeRequest { filters: vec![format!("topic==\"{START}\"")] };
            async move { EventsClient::new(channel).subscribe(request).await }
        };
        // No deadline: a node on which nothing starts has no first event.
        let asked = async move { client.call("its events", rpc).await };
        Ok(Starts(Subscription::Asked(Box::pin(asked))))
    }
}

impl Starts {
    /// The next start; none when the connection has ended. What cannot be understood is passed over.
    pub async fn next(&mut self) -> Option<Start> {
        if let Subscription::Asked(asked) = &mut self.0 {
            let answer = asked.await;
            self.0 = answer.map_or(Subscription::Ended, |events| Subscription::Answered(Box::new(events)));
        }
        let Subscription::Answered(events) = &mut self.0 else { return None };
        while let Ok(Some(Envelope { namespace, topic, event: Some(event), .. })) = events.message().await {
            let Ok(start) = TaskStart::decode(event.value.as_slice()) else { continue };
            if topic == START {
                return Some(Start { namespace, id: start.container_id });
            }
        }
        self.0 = Subscription::Ended;
        None
    }
}
