"""Google's own clients of Container Analysis and Binary Authorization, unmodified, against the store whose URL is given."""

import sys

from google.api_core import exceptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import binaryauthorization_v1 as binauthz
from google.protobuf.field_mask_pb2 import FieldMask
from googleapiclient.discovery import build
from googleapiclient.errors import HttpError
from grafeas import grafeas_v1 as grafeas
from grafeas.grafeas_v1.services.grafeas.transports import GrafeasRestTransport

URL = sys.argv[1]
NOTE = "projects/sec/notes/qa"
ATTESTOR = "projects/sec/attestors/qa"
POLICY = "projects/shop/policy"
PEM = """-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEf83OJ3D2xF1Bg8vub9tLe1gHMzV7
6e8Tus9uPHvRVEXH8UTNG72bfocs3+257rn0s2ldbqkLJK2KRiMohYjlrQ==
-----END PUBLIC KEY-----
"""


def resource(digit):
    return f"https://r.example/app@sha256:{digit * 64}"


def discovered(name, version):
    """What google-api-python-client makes of the description that Google publishes."""
    options = {"api_endpoint": URL}
    made = build(name, version, credentials=AnonymousCredentials(), client_options=options, static_discovery=True)
    return made.projects()


def refused(status, call):
    try:
        call.execute()
    except HttpError as error:
        assert error.resp.status == status and error.reason, error
        return
    raise AssertionError(f"{call.uri} is not refused")


def pages(collection, request, member):
    """All of a list, page by page."""
    found, count = [], 0
    while request is not None:
        page = request.execute()
        found += page.get(member, [])
        request = collection.list_next(request, page)
        count += 1
    return found, count


def notes_and_occurrences():
    projects = discovered("containeranalysis", "v1")
    notes, occurrences = projects.notes(), projects.occurrences()
    body = {"attestation": {"hint": {"humanReadableName": "qa"}}}
    note = notes.create(parent="projects/sec", noteId="qa", body=body).execute()
    assert (note["name"], note["kind"]) == (NOTE, "ATTESTATION"), note
    refused(409, notes.create(parent="projects/sec", noteId="qa", body=body))
    assert notes.get(name=NOTE).execute() == note
    patched = notes.patch(name=NOTE, updateMask="shortDescription", body={"shortDescription": "s"}).execute()
    assert patched["shortDescription"] == "s" and patched["attestation"] == note["attestation"], patched
    made = notes.batchCreate(parent="projects/sec", body={"notes": {"b": body, "c": body}}).execute()
    assert len(made["notes"]) == 2, made
    found, count = pages(notes, notes.list(parent="projects/sec", pageSize=2), "notes")
    assert [one["name"] for one in found] == [NOTE, "projects/sec/notes/b", "projects/sec/notes/c"] and count == 2
    assert notes.delete(name="projects/sec/notes/c").execute() == {}

    def occurrence(digit):
        signature = {"signature": "aGk=", "publicKeyId": "k"}
        attestation = {"serializedPayload": "aGk=", "signatures": [signature]}
        return {"resourceUri": resource(digit), "noteName": NOTE, "attestation": attestation}

    one = occurrences.create(parent="projects/shop", body=occurrence("a")).execute()
    assert one["kind"] == "ATTESTATION", one
    assert occurrences.get(name=one["name"]).execute() == one
    assert occurrences.getNotes(name=one["name"]).execute()["name"] == NOTE
    batch = {"occurrences": [occurrence(digit) for digit in "bcde"]}
    assert len(occurrences.batchCreate(parent="projects/shop", body=batch).execute()["occurrences"]) == 4
    of_note = notes.occurrences()
    for wanted, number in [
        ("", 5),
        ('kind="ATTESTATION"', 5),
        ('kind="BUILD"', 0),
        (f'has_suffix(resourceUrl, "sha256:{"a" * 64}")', 1),
        (f'kind="ATTESTATION" AND resourceUrl="{resource("b")}"', 1),
    ]:
        for collection, request in [
            (of_note, of_note.list(name=NOTE, filter=wanted, pageSize=2)),
            (occurrences, occurrences.list(parent="projects/shop", filter=wanted, pageSize=2)),
        ]:
            found, _ = pages(collection, request, "occurrences")
            assert len({one["name"] for one in found}) == len(found) == number, (wanted, found)
    refused(400, occurrences.list(parent="projects/shop", filter="bogus=1"))
    patch = occurrences.patch(name=one["name"], updateMask="remediation", body={"remediation": "r"})
    assert patch.execute()["remediation"] == "r"
    assert occurrences.delete(name=one["name"]).execute() == {}
    refused(404, occurrences.get(name=one["name"]))
    refused(501, notes.setIamPolicy(resource=NOTE, body={}))
    beta = discovered("containeranalysis", "v1beta1").occurrences().list(parent="projects/shop").execute()
    generic = beta["occurrences"][0]["attestation"]["attestation"]["genericSignedAttestation"]
    assert generic["serializedPayload"] == "aGk=", beta


def policies_and_attestors():
    projects = discovered("binaryauthorization", "v1")
    attestors, platforms = projects.attestors(), projects.platforms().policies()
    key = {"pkixPublicKey": {"publicKeyPem": PEM, "signatureAlgorithm": "ECDSA_P256_SHA256"}}
    body = {"name": ATTESTOR, "userOwnedGrafeasNote": {"noteReference": NOTE, "publicKeys": [key]}}
    attestor = attestors.create(parent="projects/sec", attestorId="qa", body=body).execute()
    assert attestors.get(name=ATTESTOR).execute() == attestor
    assert attestors.list(parent="projects/sec").execute()["attestors"] == [attestor]
    attestor["description"] = "d"
    assert attestors.update(name=ATTESTOR, body=attestor).execute()["description"] == "d"
    refused(409, attestors.update(name=ATTESTOR, body=attestor))
    policy = projects.getPolicy(name=POLICY).execute()
    policy["defaultAdmissionRule"] = {
        "evaluationMode": "REQUIRE_ATTESTATION",
        "enforcementMode": "ENFORCED_BLOCK_AND_AUDIT_LOG",
        "requireAttestationsBy": [ATTESTOR],
    }
    policy = projects.updatePolicy(name=POLICY, body=policy).execute()
    projects.updatePolicy(name=POLICY, body={**policy, "description": "faster"}).execute()
    refused(409, projects.updatePolicy(name=POLICY, body={**policy, "description": "too late"}))
    attestation = {"serializedPayload": "aGk=", "signatures": [{"signature": "aGk=", "publicKeyId": "k"}]}
    asked = {"occurrenceNote": NOTE, "occurrenceResourceUri": resource("a"), "attestation": attestation}
    said = attestors.validateAttestationOccurrence(attestor=ATTESTOR, body=asked).execute()
    assert said["result"] == "ATTESTATION_NOT_VERIFIABLE" and "key id 'k'" in said["denialReason"], said
    checks = {"checkSets": [{"displayName": "all", "checks": [{"displayName": "none", "alwaysDeny": True}]}]}
    parent = "projects/shop/platforms/gke"
    platform = platforms.create(parent=parent, policyId="p", body={"gkePolicy": checks}).execute()
    platforms.replacePlatformPolicy(name=platform["name"], body=platform).execute()
    refused(409, platforms.replacePlatformPolicy(name=platform["name"], body=platform))
    refused(409, platforms.delete(name=platform["name"], etag=platform["etag"]))
    assert len(platforms.list(parent=parent).execute()["platformPolicies"]) == 1
    assert platforms.delete(name=platform["name"]).execute() == {}
    assert attestors.delete(name=ATTESTOR).execute() == {}


def generated():
    """The clients that Google generates from its protobufs, over REST: they write enums as numbers."""
    credentials, options = AnonymousCredentials(), {"api_endpoint": URL}
    client = grafeas.GrafeasClient(transport=GrafeasRestTransport(host=URL, credentials=credentials))
    hint = grafeas.AttestationNote.Hint(human_readable_name="generated")
    note = grafeas.Note(kind=grafeas.NoteKind.ATTESTATION, attestation=grafeas.AttestationNote(hint=hint))
    note = client.create_note(parent="projects/sec", note_id="generated", note=note)
    assert note.kind == grafeas.NoteKind.ATTESTATION, note
    signature = grafeas.Signature(signature=b"hi", public_key_id="k")
    attestation = grafeas.AttestationOccurrence(serialized_payload=b"hi", signatures=[signature])
    asked = grafeas.Occurrence(
        resource_uri=resource("f"), note_name=note.name, kind=grafeas.NoteKind.ATTESTATION, attestation=attestation
    )
    one = client.create_occurrence(parent="projects/shop", occurrence=asked)
    assert one.attestation == attestation and one.create_time == one.update_time, one
    assert len(client.batch_create_occurrences(parent="projects/shop", occurrences=[asked] * 3).occurrences) == 3
    listed = client.list_note_occurrences(request={"name": note.name, "filter": 'kind="ATTESTATION"', "page_size": 2})
    assert len(list(listed)) == 4
    one.remediation = "r"
    mask = FieldMask(paths=["remediation"])
    assert client.update_occurrence(name=one.name, occurrence=one, update_mask=mask).remediation == "r"
    client.delete_occurrence(name=one.name)
    try:
        client.get_occurrence(name=one.name)
        raise AssertionError("it is deleted")
    except exceptions.NotFound:
        pass

    client = binauthz.BinauthzManagementServiceV1Client(
        credentials=credentials, transport="rest", client_options=options
    )
    key = binauthz.PkixPublicKey(public_key_pem=PEM, signature_algorithm="ECDSA_P256_SHA256")
    keys = [binauthz.AttestorPublicKey(pkix_public_key=key)]
    owned = binauthz.UserOwnedGrafeasNote(note_reference=note.name, public_keys=keys)
    attestor = binauthz.Attestor(name="projects/sec/attestors/generated", user_owned_grafeas_note=owned)
    attestor = client.create_attestor(parent="projects/sec", attestor_id="generated", attestor=attestor)
    policy = client.get_policy(name="projects/generated/policy")
    policy.default_admission_rule.evaluation_mode = "REQUIRE_ATTESTATION"
    policy.default_admission_rule.require_attestations_by = [attestor.name]
    policy = client.update_policy(policy=policy)
    assert policy.default_admission_rule.evaluation_mode.name == "REQUIRE_ATTESTATION", policy
    helper = binauthz.ValidationHelperV1Client(credentials=credentials, transport="rest", client_options=options)
    said = helper.validate_attestation_occurrence(
        request=binauthz.ValidateAttestationOccurrenceRequest(
            attestor=attestor.name,
            attestation=attestation,
            occurrence_note=note.name,
            occurrence_resource_uri=resource("f"),
        )
    )
    assert said.result.name == "ATTESTATION_NOT_VERIFIABLE", said


notes_and_occurrences()
policies_and_attestors()
generated()
