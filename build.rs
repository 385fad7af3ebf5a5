//! Compiles the contract in `proto/` without a protoc on the machine, and derives from it what the
//! server must know about its own messages: which fields exist (so that unknown ones are refused),
//! and that none of them ever prints its content.

use std::{env, error::Error, fmt::Write as _, fs, path::PathBuf};

use prost_reflect::{DescriptorPool, MessageDescriptor};

const PACKAGE: &str = "leadintake.v1";

/// What `validator` checks on the wire messages: shapes only. Meaning is checked by `rpc/convert`.
const RULES: &[(&str, &str)] = &[
    (
        "SubmitLeadRequest.request_id",
        "custom(function = \"crate::rpc::rules::uuid\")",
    ),
    (
        "SubmitLeadRequest.lawful_basis",
        "custom(function = \"crate::rpc::rules::chosen\")",
    ),
    (
        "SubmitLeadRequest.notice_version",
        "length(min = 1, max = 16)",
    ),
    ("GetPrivacyNoticeRequest.version", "length(max = 16)"),
    ("GetPrivacyNoticeRequest.language", "length(max = 16)"),
    ("PullLeadsRequest.page_size", "range(min = 0, max = 1000)"),
    ("PullLeadsRequest.cursor", "length(max = 64)"),
    ("StreamLeadsRequest.cursor", "length(max = 64)"),
    (
        "AcknowledgeLeadsRequest.cursor",
        "length(min = 1, max = 64)",
    ),
    (
        "GetLeadRequest.lead_id",
        "custom(function = \"crate::rpc::rules::uuid\")",
    ),
    ("ListEntriesRequest.page_size", "range(min = 0, max = 1000)"),
    ("ListEntriesRequest.after_sequence", "range(min = 0)"),
    (
        "SubjectRequest.request_id",
        "custom(function = \"crate::rpc::rules::uuid\")",
    ),
    ("SubjectRequest.subject", "nested"),
    ("Subject.lead_ids", "length(max = 1000)"),
    ("FindSubjectRequest.request", "nested"),
    ("ExportSubjectRequest.request", "nested"),
    (
        "ExportSubjectRequest.kind",
        "custom(function = \"crate::rpc::rules::chosen\")",
    ),
    ("ExportSubjectRequest.language", "length(max = 16)"),
    ("EraseSubjectRequest.request", "nested"),
    (
        "EraseSubjectRequest.ground",
        "custom(function = \"crate::rpc::rules::chosen\")",
    ),
    (
        "WithdrawConsentRequest.lead_id",
        "custom(function = \"crate::rpc::rules::uuid\")",
    ),
    (
        "CloseLeadRequest.lead_id",
        "custom(function = \"crate::rpc::rules::uuid\")",
    ),
    (
        "CloseLeadRequest.outcome",
        "custom(function = \"crate::rpc::rules::chosen\")",
    ),
    ("EraseSubjectRequest.language", "length(max = 16)"),
    (
        "GetErasureReceiptRequest.request_id",
        "custom(function = \"crate::rpc::rules::uuid\")",
    ),
    ("GetErasureReceiptRequest.since_size", "range(min = 0)"),
    ("GetCheckpointRequest.since_size", "range(min = 0)"),
    ("GetProcessingRecordRequest.language", "length(max = 16)"),
    (
        "RectifyLeadRequest.request_id",
        "custom(function = \"crate::rpc::rules::uuid\")",
    ),
    (
        "RectifyLeadRequest.lead_id",
        "custom(function = \"crate::rpc::rules::uuid\")",
    ),
    ("RectifyLeadRequest.expected_revision", "range(min = 1)"),
    (
        "RestrictLeadRequest.request_id",
        "custom(function = \"crate::rpc::rules::uuid\")",
    ),
    (
        "RestrictLeadRequest.lead_id",
        "custom(function = \"crate::rpc::rules::uuid\")",
    ),
    (
        "RestrictLeadRequest.reason",
        "custom(function = \"crate::rpc::rules::chosen\")",
    ),
    (
        "LiftRestrictionRequest.request_id",
        "custom(function = \"crate::rpc::rules::uuid\")",
    ),
    (
        "LiftRestrictionRequest.lead_id",
        "custom(function = \"crate::rpc::rules::uuid\")",
    ),
    (
        "LiftRestrictionRequest.reason",
        "custom(function = \"crate::rpc::rules::chosen\")",
    ),
    ("ObjectToProcessingRequest.request", "nested"),
    (
        "ObjectToProcessingRequest.kind",
        "custom(function = \"crate::rpc::rules::chosen\")",
    ),
    ("ObjectToProcessingRequest.language", "length(max = 16)"),
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    let out = PathBuf::from(env::var("OUT_DIR")?);

    let mut compiler = protox::Compiler::new(["proto"])?;
    compiler.include_imports(true).include_source_info(true);
    compiler.open_files(
        ["intake", "crm", "privacy", "ledger"].map(|name| format!("leadintake/v1/{name}.proto")),
    )?;
    let descriptors = compiler.encode_file_descriptor_set();
    fs::write(out.join("descriptor.bin"), &descriptors)?;

    let pool = DescriptorPool::decode(descriptors.as_slice())?;
    fs::write(out.join("shapes.rs"), shapes(&pool)?)?;

    let mut builder = tonic_prost_build::configure()
        .codec_path("crate::rpc::codec::StrictCodec")
        .skip_debug(
            pool.all_messages()
                .map(|message| format!(".{}", message.full_name())),
        );
    let mut validated: Vec<&str> = RULES
        .iter()
        .filter_map(|(path, _)| path.split('.').next())
        .collect();
    validated.sort_unstable();
    validated.dedup();
    for message in validated {
        builder = builder.message_attribute(
            format!(".{PACKAGE}.{message}"),
            "#[derive(validator::Validate)]",
        );
    }
    for (path, rule) in RULES {
        builder =
            builder.field_attribute(format!(".{PACKAGE}.{path}"), format!("#[validate({rule})]"));
    }
    builder.compile_fds(compiler.file_descriptor_set())?;
    Ok(())
}

/// For each message of the contract: a table of its fields, and a `Debug` that prints its name only.
fn shapes(pool: &DescriptorPool) -> Result<String, Box<dyn Error>> {
    let mut code = String::new();
    for message in pool
        .all_messages()
        .filter(|m| m.full_name().starts_with("leadintake.v1.") || is_embedded(m))
    {
        let name = constant(&message);
        write!(code, "static {name}: Shape = Shape {{ fields: &[")?;
        for field in message.fields() {
            let inner = match field.kind() {
                prost_reflect::Kind::Message(inner) => format!("Some(&{})", constant(&inner)),
                _ => "None".to_owned(),
            };
            write!(code, "({}, {inner}),", field.number())?;
        }
        code.push_str("] };\n");
        if message.package_name() == PACKAGE {
            let strict = message.name().ends_with("Request");
            writeln!(
                code,
                "impl Shaped for super::{0} {{ const SHAPE: &'static Shape = &{name}; const STRICT: bool = {strict}; }}\n\
                 impl std::fmt::Debug for super::{0} {{ fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {{ f.write_str(\"{0}(..)\") }} }}",
                message.name(),
            )?;
        }
    }
    Ok(code)
}

/// The messages of protobuf's own library that ours embed.
fn is_embedded(message: &MessageDescriptor) -> bool {
    ["google.protobuf.Timestamp", "google.protobuf.FieldMask"].contains(&message.full_name())
}

fn constant(message: &MessageDescriptor) -> String {
    message.full_name().replace('.', "_").to_uppercase()
}
