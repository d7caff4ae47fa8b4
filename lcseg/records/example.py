"""The messages of `tf.train.Example`, by protobuf alone.

example = Example()
example.features.feature["row"].int64_list.value.append(256)
example.SerializeToString(deterministic=True)

TensorFlow has the same messages, but takes seconds and half a gigabyte to be imported.
"""

from __future__ import annotations

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.descriptor_pb2 import FieldDescriptorProto as _Field

_PACKAGE = "lcseg"
_KINDS = {"bytes_list": "BytesList", "float_list": "FloatList", "int64_list": "Int64List"}


def _field(name: str, number: int, kind: str | int, is_repeated: bool = False) -> _Field:
    field = _Field(name=name, number=number)
    field.label = _Field.LABEL_REPEATED if is_repeated else _Field.LABEL_OPTIONAL
    if isinstance(kind, str):
        field.type, field.type_name = _Field.TYPE_MESSAGE, f".{_PACKAGE}.{kind}"
    else:
        field.type = kind
    return field


def _describe() -> descriptor_pb2.FileDescriptorProto:
    """What tensorflow/core/example/feature.proto and example.proto say."""
    file = descriptor_pb2.FileDescriptorProto(
        name="lcseg/example.proto", package=_PACKAGE, syntax="proto3"
    )
    types = {
        "BytesList": _Field.TYPE_BYTES,
        "FloatList": _Field.TYPE_FLOAT,
        "Int64List": _Field.TYPE_INT64,
    }
    for name, kind in types.items():
        file.message_type.add(name=name, field=[_field("value", 1, kind, is_repeated=True)])
    feature = file.message_type.add(name="Feature")
    feature.oneof_decl.add(name="kind")
    for number, (name, kind) in enumerate(_KINDS.items(), start=1):
        feature.field.add().CopyFrom(_field(name, number, kind))
        feature.field[-1].oneof_index = 0
    features = file.message_type.add(name="Features")
    entry = features.nested_type.add(name="FeatureEntry")
    entry.field.extend([_field("key", 1, _Field.TYPE_STRING), _field("value", 2, "Feature")])
    entry.options.map_entry = True
    features.field.append(_field("feature", 1, "Features.FeatureEntry", is_repeated=True))
    file.message_type.add(name="Example", field=[_field("features", 1, "Features")])
    return file


_POOL = descriptor_pool.DescriptorPool()
_POOL.Add(_describe())
Example = message_factory.GetMessageClass(_POOL.FindMessageTypeByName(f"{_PACKAGE}.Example"))
"""The class of `tf.train.Example` messages."""
