//! A `Synchronize` that comes in several messages, put together.

use super::api::SynchronizeRequest;

/// What has come so far. Bounded in bytes as they were sent.
#[derive(Debug)]
pub struct Chunks {
    whole: SynchronizeRequest,
    bytes: usize,
    max: usize,
}

impl Chunks {
    /// Nothing yet, and at most `max` bytes.
    #[must_use]
    pub fn new(max: usize) -> Self {
        Self { whole: SynchronizeRequest::default(), bytes: 0, max }
    }

    /// Adds `part`, which had so many bytes, and returns everything once it is the last one.
    ///
    /// # Errors
    /// It is too much, for people. What has come so far is dropped.
    pub fn add(
        &mut self,
        part: SynchronizeRequest,
        bytes: usize,
    ) -> Result<Option<SynchronizeRequest>, String> {
        let more = part.more;
        self.bytes = self.bytes.saturating_add(bytes);
        if self.bytes > self.max {
            let why = format!("{} bytes of pods and containers, at most {} are read", self.bytes, self.max);
            *self = Self::new(self.max);
            return Err(why);
        }
        self.whole.pods.extend(part.pods);
        self.whole.containers.extend(part.containers);
        if more {
            return Ok(None);
        }
        let whole = std::mem::take(&mut self.whole);
        self.bytes = 0;
        Ok(Some(whole))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nri::api::{Container, PodSandbox};

    fn part(pods: usize, containers: usize, more: bool) -> SynchronizeRequest {
        SynchronizeRequest {
            pods: vec![PodSandbox::default(); pods],
            containers: vec![Container::default(); containers],
            more,
        }
    }

    #[test]
    fn parts_become_a_whole() {
        let mut chunks = Chunks::new(10);
        assert_eq!(chunks.add(part(1, 0, true), 5), Ok(None));
        assert_eq!(chunks.add(part(2, 3, true), 2), Ok(None));
        assert_eq!(chunks.add(part(0, 1, false), 3), Ok(Some(part(3, 4, false))));
        assert_eq!(chunks.add(part(0, 0, false), 10), Ok(Some(part(0, 0, false))));
        assert_eq!(chunks.add(part(1, 0, true), 9), Ok(None));
        assert!(chunks.add(part(1, 0, true), 2).unwrap_err().contains("11 bytes"));
        assert_eq!(chunks.add(part(1, 1, false), 10), Ok(Some(part(1, 1, false))));
    }
}
