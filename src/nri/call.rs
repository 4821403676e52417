//! What a runtime asks: a method and its message, read and complete.

use prost::Message;

use super::api::{
    self, ConfigureRequest, Container, ContainerRequest, PodRequest, PodSandbox, StateChangeEvent,
    SynchronizeRequest, ValidateContainerAdjustmentRequest,
};
use super::event::Event;
use super::ttrpc::{Code, Request, Status};

/// How many pods and containers one `Synchronize` message may list. A kubelet runs 110 pods by default;
/// the bound is on what two bytes of a hostile message may make.
pub const MAX_LISTED: usize = 32 * 1024;

/// A request that makes sense.
#[derive(Debug, Clone, PartialEq)]
pub enum Call {
    /// The runtime introduces itself.
    Configure(ConfigureRequest),
    /// What there is already, or a part of it.
    Synchronize(SynchronizeRequest),
    /// A pod is being created.
    RunPod(PodSandbox),
    /// A container is being created.
    Create(PodSandbox, Container),
    /// A container is being created, and this is what all plugins made of it: pod and container are
    /// there.
    Validate(PodSandbox, Container, Box<ValidateContainerAdjustmentRequest>),
    /// A container is about to be started.
    Start(PodSandbox, Container),
    /// Something else happened.
    Notice(Event, Option<PodSandbox>, Option<Container>),
    /// The runtime ends.
    Shutdown,
}

impl Call {
    /// Reads a request. What a runtime has no method of its own for comes as `StateChange`, and is the
    /// same call then.
    ///
    /// # Errors
    /// The status to answer with. Code 12 (unimplemented) is for methods that are not in the API, and
    /// for nothing else.
    pub fn read(request: &Request) -> Result<Self, Status> {
        use Event::*;
        let unknown = || {
            let what = format!("`{}/{}` is not a method of this plugin", request.service, request.method);
            Status::new(Code::Unimplemented, what)
        };
        if request.service != api::PLUGIN {
            return Err(unknown());
        }
        let event = match request.method.as_str() {
            "Configure" => return Ok(Self::Configure(message(request)?)),
            "Synchronize" => {
                if listed(&request.payload).is_none_or(|count| count > MAX_LISTED) {
                    return Err(invalid(request, &format!("it lists more than {MAX_LISTED}")));
                }
                return Ok(Self::Synchronize(message(request)?));
            }
            "ValidateContainerAdjustment" => {
                let mut asked: ValidateContainerAdjustmentRequest = message(request)?;
                let (Some(pod), Some(container)) = (asked.pod.take(), asked.container.take()) else {
                    return Err(invalid(request, "it names no pod or no container"));
                };
                return Ok(Self::Validate(pod, container, Box::new(asked)));
            }
            "StateChange" => {
                let StateChangeEvent { event, pod, container } = message(request)?;
                let event = Event::numbered(event)
                    .filter(|event| *event != ValidateContainerAdjustment)
                    .ok_or_else(|| invalid(request, &format!("event {event} is not known")))?;
                return Self::of(event, pod, container).ok_or_else(|| invalid(request, "it names nothing"));
            }
            "Shutdown" => return Ok(Self::Shutdown),
            "RunPodSandbox" => RunPodSandbox,
            "StopPodSandbox" => StopPodSandbox,
            "RemovePodSandbox" => RemovePodSandbox,
            "UpdatePodSandbox" => UpdatePodSandbox,
            "PostUpdatePodSandbox" => PostUpdatePodSandbox,
            "CreateContainer" => CreateContainer,
            "PostCreateContainer" => PostCreateContainer,
            "StartContainer" => StartContainer,
            "PostStartContainer" => PostStartContainer,
            "UpdateContainer" => UpdateContainer,
            "PostUpdateContainer" => PostUpdateContainer,
            "StopContainer" => StopContainer,
            "RemoveContainer" => RemoveContainer,
            _ => return Err(unknown()),
        };
        let call = if is_of_a_pod(event) {
            Self::of(event, message::<PodRequest>(request)?.pod, None)
        } else {
            let ContainerRequest { pod, container } = message(request)?;
            Self::of(event, pod, container)
        };
        call.ok_or_else(|| invalid(request, "it names no pod or no container"))
    }

    /// `None` if a decision is asked for about something that is not named.
    fn of(event: Event, pod: Option<PodSandbox>, container: Option<Container>) -> Option<Self> {
        match event {
            Event::RunPodSandbox => pod.map(Self::RunPod),
            Event::CreateContainer => Some(Self::Create(pod?, container?)),
            Event::StartContainer => Some(Self::Start(pod?, container?)),
            _ => Some(Self::Notice(event, pod, container)),
        }
    }
}

fn is_of_a_pod(event: Event) -> bool {
    use Event::*;
    matches!(
        event,
        RunPodSandbox | StopPodSandbox | RemovePodSandbox | UpdatePodSandbox | PostUpdatePodSandbox
    )
}

fn message<M: Message + Default>(request: &Request) -> Result<M, Status> {
    M::decode(request.payload.as_slice()).map_err(|error| invalid(request, &error.to_string()))
}

fn invalid(request: &Request, why: &str) -> Status {
    Status::new(Code::InvalidArgument, format!("this `{}` cannot be read: {why}", request.method))
}

/// How many fields are at the top of `message`, which are pods and containers nearly all; `None` if that
/// is no message.
fn listed(mut message: &[u8]) -> Option<usize> {
    use prost::encoding::{DecodeContext, decode_key, skip_field};
    let mut count = 0;
    while !message.is_empty() {
        let (tag, kind) = decode_key(&mut message).ok()?;
        skip_field(kind, tag, &mut message, DecodeContext::default()).ok()?;
        count += 1;
    }
    Some(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod() -> PodSandbox {
        PodSandbox { id: "p".into(), ..Default::default() }
    }

    fn container() -> Container {
        Container { id: "c".into(), ..Default::default() }
    }

    fn read(method: &str, message: &impl Message) -> Result<Call, i32> {
        let request = Request {
            service: api::PLUGIN.into(),
            method: method.into(),
            payload: message.encode_to_vec(),
            timeout_nano: 0,
        };
        Call::read(&request).map_err(|status| status.code)
    }

    #[test]
    fn a_state_change_is_the_call_it_stands_for() {
        let both = || (Some(pod()), Some(container()));
        let rows = [
            ("RunPodSandbox", 1, Call::RunPod(pod())),
            ("StopPodSandbox", 2, Call::Notice(Event::StopPodSandbox, Some(pod()), None)),
            ("RemovePodSandbox", 3, Call::Notice(Event::RemovePodSandbox, Some(pod()), None)),
            ("CreateContainer", 4, Call::Create(pod(), container())),
            ("PostCreateContainer", 5, Call::Notice(Event::PostCreateContainer, both().0, both().1)),
            ("StartContainer", 6, Call::Start(pod(), container())),
            ("PostStartContainer", 7, Call::Notice(Event::PostStartContainer, both().0, both().1)),
            ("UpdateContainer", 8, Call::Notice(Event::UpdateContainer, both().0, both().1)),
            ("PostUpdateContainer", 9, Call::Notice(Event::PostUpdateContainer, both().0, both().1)),
            ("StopContainer", 10, Call::Notice(Event::StopContainer, both().0, both().1)),
            ("RemoveContainer", 11, Call::Notice(Event::RemoveContainer, both().0, both().1)),
            ("UpdatePodSandbox", 12, Call::Notice(Event::UpdatePodSandbox, Some(pod()), None)),
            ("PostUpdatePodSandbox", 13, Call::Notice(Event::PostUpdatePodSandbox, Some(pod()), None)),
        ];
        for (method, event, expected) in rows {
            let about_a_pod = method.contains("Pod");
            let container = (!about_a_pod).then(container);
            let change = StateChangeEvent { event, pod: Some(pod()), container: container.clone() };
            let dedicated = ContainerRequest { pod: Some(pod()), container };
            assert_eq!(read("StateChange", &change).as_ref(), Ok(&expected), "{method}");
            assert_eq!(read(method, &dedicated), Ok(expected), "{method}");
        }
    }

    #[test]
    fn what_cannot_be_decided_is_an_error_and_only_an_unknown_method_is_unimplemented() {
        let whole = ContainerRequest { pod: Some(pod()), container: Some(container()) };
        let no_container = ContainerRequest { pod: Some(pod()), container: None };
        let change = |event| StateChangeEvent { event, pod: Some(pod()), container: Some(container()) };
        let rows = [
            (read("RunPodSandbox", &api::Empty {}), 3),
            (read("CreateContainer", &no_container), 3),
            (read("CreateContainer", &api::Empty {}), 3),
            (read("StartContainer", &no_container), 3),
            (read("ValidateContainerAdjustment", &no_container), 3),
            (read("StateChange", &change(0)), 3),
            (read("StateChange", &change(14)), 3),
            (read("StateChange", &change(15)), 3),
            (read("StateChange", &StateChangeEvent { event: 6, ..Default::default() }), 3),
            (read("createcontainer", &whole), 12),
            (read("", &whole), 12),
        ];
        for (found, code) in rows {
            assert_eq!(found, Err(code));
        }
        let mut request =
            Request { service: api::RUNTIME.into(), method: "Configure".into(), ..Default::default() };
        assert_eq!(Call::read(&request).unwrap_err().code, 12);
        for method in ["Configure", "Synchronize", "CreateContainer", "StateChange", "RunPodSandbox"] {
            (request.service, request.method) = (api::PLUGIN.into(), method.into());
            request.payload = vec![0x0a, 0xff, 1];
            assert_eq!(Call::read(&request).unwrap_err().code, 3, "{method}");
        }
        assert_eq!(read("Shutdown", &api::Empty {}), Ok(Call::Shutdown));
    }

    #[test]
    fn two_bytes_make_no_container_of_a_list_that_is_too_long() {
        let list = |count: usize| SynchronizeRequest {
            containers: vec![Container::default(); count],
            ..Default::default()
        };
        assert!(matches!(read("Synchronize", &list(MAX_LISTED)), Ok(Call::Synchronize(_))));
        assert_eq!(read("Synchronize", &list(MAX_LISTED + 1)), Err(3));
    }
}
