//! Why a JSON text is none of the contract: found out only when reading it failed, so that it costs the others nothing.

use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MessageDescriptor};
use serde_json::{Map, Value};
use tonic::Status;

use super::{
    super::status::{Fault, Refusal, Violations},
    READ,
};

/// A field that the contract does not have.
struct Unknown;

/// What the caller hears. `error` is the library's, of which only the place is told: its text may quote the caller's.
pub(super) fn explain(
    message: &MessageDescriptor,
    json: &[u8],
    error: &serde_json::Error,
) -> Status {
    let place = (error.line(), error.column());
    let Ok(Value::Object(fields)) = serde_json::from_slice(json) else {
        return Refusal::MalformedJson.at(place);
    };
    let mut violations = Violations::default();
    match judge(message, fields, "", &mut violations) {
        Err(Unknown) => Refusal::UnknownField.at(place),
        // Every value alone is right, so it is the text between them.
        Ok(()) if violations.is_empty() => Refusal::MalformedJson.at(place),
        Ok(()) => violations.into(),
    }
}

/// Notes every field whose value is wrong, each tried alone.
fn judge(
    message: &MessageDescriptor,
    fields: Map<String, Value>,
    path: &str,
    violations: &mut Violations,
) -> Result<(), Unknown> {
    for (name, value) in fields {
        let field = message
            .get_field_by_json_name(&name)
            .or_else(|| message.get_field_by_name(&name))
            .ok_or(Unknown)?;
        if is_readable(message, name, &value) {
            continue;
        }
        let path = match path {
            "" => field.name().to_owned(),
            outer => format!("{outer}.{}", field.name()),
        };
        match (field.kind(), value) {
            (Kind::Message(inner), Value::Object(fields)) if is_ours(&inner) => {
                judge(&inner, fields, &path, violations)?;
            }
            (_, value) => violations.add(&path, fault(&field, &value)),
        }
    }
    Ok(())
}

fn is_readable(message: &MessageDescriptor, name: String, value: &Value) -> bool {
    let alone = Value::Object(Map::from_iter([(name, value.clone())]));
    DynamicMessage::deserialize_with_options(message.clone(), alone, &READ).is_ok()
}

/// Whether it is written as an object of its fields: protobuf's own messages have forms of their own.
fn is_ours(message: &MessageDescriptor) -> bool {
    !message.full_name().starts_with("google.protobuf.")
}

fn fault(field: &FieldDescriptor, value: &Value) -> Fault {
    match (field.kind(), value) {
        (Kind::Enum(_), Value::String(_)) if !field.is_list() => Fault::UnknownValue,
        (Kind::Message(inner), Value::String(_))
            if inner.full_name() == "google.protobuf.Timestamp" =>
        {
            Fault::TimeInvalid
        }
        _ => Fault::WrongKind,
    }
}
