//! ttrpc and every message of NRI: what is read can be written and read again, and only a method that is
//! not in the API is unimplemented.
#![no_main]

use binauthd::nri::api::{
    self, ConfigureRequest, ConfigureResponse, ContainerRequest, PodRequest, RegisterPluginRequest,
    StateChangeEvent, SynchronizeRequest, SynchronizeResponse, ValidateContainerAdjustmentRequest,
    ValidateContainerAdjustmentResponse,
};
use binauthd::nri::call::{Call, MAX_LISTED};
use binauthd::nri::ttrpc::{Decoder, Envelope, Kind, MAX_MESSAGE, Request, Response, TtrpcError, encode};
use binauthd::nri::{Chunks, Events, Runtime};
use libfuzzer_sys::fuzz_target;
use prost::Message;

/// More than one chunk of what a run makes, less than two.
const MAX_CHUNKS: usize = 3000;

fuzz_target!(|data: &[u8]| {
    let Some((size, bytes)) = data.split_first() else { return };
    let (envelopes, error) = read(bytes, bytes.len());
    assert_eq!((&envelopes, &error), (&read(bytes, usize::from(*size)).0, &read(bytes, 1).1));
    let mut chunks = Chunks::new(MAX_CHUNKS);
    for envelope in &envelopes {
        assert!(envelope.body.len() <= MAX_MESSAGE);
        if let Ok(response) = envelope.response() {
            again(&response);
            messages(&response.payload);
        }
        let Ok(request) = envelope.request() else { continue };
        again(&request);
        messages(&request.payload);
        match Call::read(&request) {
            Ok(Call::Configure(configure)) => {
                let runtime = Runtime::new(configure, Events::WIDE);
                assert!(runtime.events.mask() & !0x3fff == 0 && !runtime.events.is_empty());
                assert!((runtime.events | runtime.left_out) == Events::WIDE);
                assert!(!runtime.request_timeout.is_zero());
            }
            Ok(Call::Synchronize(part)) => {
                assert!(part.pods.len() + part.containers.len() <= MAX_LISTED);
                let _ = chunks.add(part, request.payload.len());
            }
            Ok(_) => {}
            Err(status) => {
                let known = request.service == api::PLUGIN && METHODS.contains(&request.method.as_str());
                assert_eq!(status.code, if known { 3 } else { 12 });
                let message = encode(envelope.stream, Kind::Response, &Response::from(status));
                assert!(message.len() <= 4096);
            }
        }
    }
    // And without an envelope, which made-up input seldom has.
    messages(bytes);
});

const METHODS: [&str; 18] = [
    "Configure",
    "Synchronize",
    "Shutdown",
    "RunPodSandbox",
    "StopPodSandbox",
    "RemovePodSandbox",
    "UpdatePodSandbox",
    "PostUpdatePodSandbox",
    "CreateContainer",
    "PostCreateContainer",
    "StartContainer",
    "PostStartContainer",
    "UpdateContainer",
    "PostUpdateContainer",
    "StopContainer",
    "RemoveContainer",
    "StateChange",
    "ValidateContainerAdjustment",
];

fn read(bytes: &[u8], size: usize) -> (Vec<Envelope>, Option<TtrpcError>) {
    let (mut decoder, mut read) = (Decoder::default(), Vec::new());
    for mut part in bytes.chunks(size.max(1)) {
        loop {
            match decoder.next(&mut part) {
                Ok(Some(envelope)) => read.push(envelope),
                Ok(None) => break assert!(part.is_empty()),
                Err(error) => return (read, Some(error)),
            }
        }
    }
    (read, None)
}

/// Whatever can be read of `bytes`.
fn messages(bytes: &[u8]) {
    for_each::<Request>(bytes);
    for_each::<Response>(bytes);
    for_each::<RegisterPluginRequest>(bytes);
    for_each::<ConfigureRequest>(bytes);
    for_each::<ConfigureResponse>(bytes);
    for_each::<SynchronizeRequest>(bytes);
    for_each::<SynchronizeResponse>(bytes);
    for_each::<PodRequest>(bytes);
    for_each::<ContainerRequest>(bytes);
    for_each::<StateChangeEvent>(bytes);
    for_each::<ValidateContainerAdjustmentRequest>(bytes);
    for_each::<ValidateContainerAdjustmentResponse>(bytes);
}

fn for_each<M: Message + Default + PartialEq>(bytes: &[u8]) {
    if let Ok(message) = M::decode(bytes) {
        again(&message);
    }
}

fn again<M: Message + Default + PartialEq>(message: &M) {
    assert!(M::decode(message.encode_to_vec().as_slice()).as_ref() == Ok(message));
}
