"""What a server is told of batches, as TensorFlow Serving's parser takes it."""

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format
from google.protobuf.wrappers_pb2 import Int64Value

from components.common.model_card import RequestLimits
from components.pusher import batching
from components.pusher.batching import Measured


def parameters(text):
    """tensorflow/serving@9d981c5 servables/tensorflow/session_bundle_config.proto:149.

    The message is in no package that Python can install: its fields that the file has.
    """
    file = descriptor_pb2.FileDescriptorProto(
        name="batching.proto", syntax="proto3", dependency=["google/protobuf/wrappers.proto"]
    )
    message = file.message_type.add(name="BatchingParameters")
    for name, number in (
        ("max_batch_size", 1),
        ("batch_timeout_micros", 2),
        ("max_enqueued_batches", 3),
        ("num_batch_threads", 4),
    ):
        message.field.add(
            name=name, number=number, label=1, type=11, type_name=".google.protobuf.Int64Value"
        )
    pool = descriptor_pool.DescriptorPool()
    wrappers = descriptor_pb2.FileDescriptorProto()
    Int64Value.DESCRIPTOR.file.CopyToProto(wrappers)
    pool.Add(wrappers)
    pool.Add(file)
    made = message_factory.GetMessageClass(pool.FindMessageTypeByName("BatchingParameters"))()
    text_format.Parse(text, made)
    return {field.name: value.value for field, value in made.ListFields()}


@pytest.mark.parametrize(
    ("seconds", "gpu", "size", "micros"),
    [
        ({1: 0.010, 2: 0.009, 4: 0.0061, 8: 0.006}, False, 4, 0),
        ({1: 0.010, 2: 0.010, 4: 0.010}, False, 1, 0),
        ({1: 0.004, 8: 0.002}, True, 8, 4000),
        ({1: 0.400, 8: 0.200}, True, 8, 10_000),
        ({1: 0.400, 8: 0.401}, True, 1, 0),
    ],
)
def test_the_smallest_batch_that_is_about_as_fast_as_the_fastest(seconds, gpu, size, micros):
    text = batching.to_text(Measured(seconds, 6, gpu), "1795964045")
    expected = {"max_batch_size": size, "num_batch_threads": 6, "batch_timeout_micros": micros}
    assert parameters(text) == expected
    assert "1795964045" in text


def test_each_size_is_measured_in_turn(monkeypatch):
    clock, asked = [0.0], []

    def predict(batch):
        asked.append(list(batch))
        # 2 s for the call, 1 s for each picture; a call in three meets another process.
        clock[0] += 2 + len(batch) + (100 if len(asked) % 3 == 0 else 0)

    monkeypatch.setattr(batching.time, "perf_counter", lambda: clock[0])
    measured = batching.measure(predict, [b"a", b"b"], 2, gpu=False, sizes=(1, 4))
    assert asked == [[b"a"], [b"a", b"b", b"a", b"b"]] * 6
    assert measured.seconds == {1: 3.0, 4: 1.5}
    assert measured.size == 4


def test_of_large_pictures_only_batches_are_measured_that_the_model_takes():
    def sizes(*megabytes):
        return batching.sizes_within(RequestLimits(64, 100), [bytes(10**6 * n) for n in megabytes])

    assert sizes(33) == sizes(64) == (1,)
    assert sizes(8) == (1, 2, 4, 8)
    assert sizes(8, 16) == (1, 2, 4)
    assert sizes(1) == batching.SIZES
