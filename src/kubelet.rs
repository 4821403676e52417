//! stub
#![allow(missing_docs)]
use std::sync::Arc;
use std::time::Duration;
#[derive(Debug, Clone)]
pub struct Pods;
#[derive(Debug, Clone)]
pub struct PodFacts {
    pub namespace: String,
    pub service_account: String,
    pub containers: Vec<Container>,
    pub static_pod: bool,
}
#[derive(Debug, Clone)]
pub struct Container {
    pub name: String,
    pub image: String,
    pub kind: ContainerKind,
}
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContainerKind {
    Container,
    Init,
    Ephemeral,
}
impl PodFacts {
    pub fn container(&self, _n: &str) -> Option<&Container> {
        None
    }
}
impl Pods {
    pub fn known(&self, _: &str, _: &str) -> Option<Arc<PodFacts>> {
        None
    }
    pub fn wanted(&self, _: &str, _: &str) {}
    pub fn container_wanted(&self, _: &str, _: &str, _: &str) {}
    pub async fn known_within(&self, _: &str, _: &str, _: Duration) -> Option<Arc<PodFacts>> {
        None
    }
}
