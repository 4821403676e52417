//! What a plugin may subscribe to.

use std::fmt;
use std::ops::{BitAnd, BitOr, Sub};

/// Something that happens to a pod or to a container, by NRI's own numbers
/// (`containerd/nri:pkg/api/api.proto`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Event {
    /// A pod is being created. Whether its sandbox runs already depends on the runtime.
    RunPodSandbox = 1,
    /// A pod has been stopped.
    StopPodSandbox = 2,
    /// A pod has been removed.
    RemovePodSandbox = 3,
    /// A container is being created.
    CreateContainer = 4,
    /// A container has been created.
    PostCreateContainer = 5,
    /// A container is about to be started.
    StartContainer = 6,
    /// A container has been started.
    PostStartContainer = 7,
    /// A container's resources are being changed.
    UpdateContainer = 8,
    /// A container's resources have been changed.
    PostUpdateContainer = 9,
    /// A container is being stopped.
    StopContainer = 10,
    /// A container has been removed.
    RemoveContainer = 11,
    /// A pod's resources are being changed; NRI 0.10 and later.
    UpdatePodSandbox = 12,
    /// A pod's resources have been changed; NRI 0.10 and later.
    PostUpdatePodSandbox = 13,
    /// What all plugins together made of a container that is being created; NRI 0.10 and later.
    ValidateContainerAdjustment = 14,
}

impl Event {
    /// All, in order of their numbers.
    pub const ALL: [Self; 14] = [
        Self::RunPodSandbox,
        Self::StopPodSandbox,
        Self::RemovePodSandbox,
        Self::CreateContainer,
        Self::PostCreateContainer,
        Self::StartContainer,
        Self::PostStartContainer,
        Self::UpdateContainer,
        Self::PostUpdateContainer,
        Self::StopContainer,
        Self::RemoveContainer,
        Self::UpdatePodSandbox,
        Self::PostUpdatePodSandbox,
        Self::ValidateContainerAdjustment,
    ];

    /// The one with that number.
    #[must_use]
    pub fn numbered(number: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|event| *event as i32 == number)
    }
}

/// A set of events.
#[derive(Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct Events(u32);

impl Events {
    /// None.
    pub const NONE: Self = Self(0);
    /// Those that every NRI knows.
    pub const NARROW: Self = Self(0x7ff);
    /// Those that NRI knows since 0.10.
    pub const WIDE: Self = Self(0x3fff);

    /// Those of `events`.
    #[must_use]
    pub fn of(events: impl IntoIterator<Item = Event>) -> Self {
        events.into_iter().map(Self::from).fold(Self::NONE, |all, event| all | event)
    }

    /// Whether `event` is one of them.
    #[must_use]
    pub fn contains(self, event: Event) -> bool {
        self & event.into() != Self::NONE
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self == Self::NONE
    }

    /// In order of their numbers.
    pub fn iter(self) -> impl Iterator<Item = Event> {
        Event::ALL.into_iter().filter(move |event| self.contains(*event))
    }

    /// The mask that `Configure` is answered with: bit `n - 1` is event `n`.
    #[must_use]
    pub fn mask(self) -> i32 {
        self.0 as i32
    }
}

impl From<Event> for Events {
    fn from(event: Event) -> Self {
        Self(1 << (event as u32 - 1))
    }
}

impl BitOr for Events {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitAnd for Events {
    type Output = Self;
    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

impl Sub for Events {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_are_the_reference_s() {
        use Event::*;
        let narrow = Events::of([RunPodSandbox, CreateContainer, StartContainer]);
        let rows = [
            (narrow, 0x29),
            (narrow | ValidateContainerAdjustment.into(), 0x2029),
            (Events::of(Event::ALL), 0x3fff),
            (Events::of(Event::ALL) & Events::NARROW, 0x7ff),
            (Events::WIDE - Events::NARROW, 0x3800),
            (RemoveContainer.into(), 0x400),
        ];
        for (events, mask) in rows {
            assert_eq!(events.mask(), mask, "{events:?}");
            assert_eq!(Events::of(events.iter()), events);
        }
        assert_eq!((Event::numbered(14), Event::numbered(0)), (Some(ValidateContainerAdjustment), None));
        assert_eq!((Event::numbered(15), Event::numbered(-1)), (None, None));
        for (event, number) in Event::ALL.into_iter().zip(1..) {
            assert_eq!(Event::numbered(number), Some(event));
        }
    }
}
