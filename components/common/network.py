"""Takes the network out of a SavedModel: what it computes, without decoding and resizing."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence

import tensorflow as tf
from tensorflow.core.framework import function_pb2, graph_pb2, node_def_pb2, types_pb2
from tensorflow.python.framework.function_def_to_graph import function_def_to_graph_def

from components.common import schema

# In training some is computed in half precision; converters know no bfloat16, and what a device
# computes in is the export's own setting.
_HALF = (types_pb2.DT_BFLOAT16, types_pb2.DT_HALF)

_ENCODER = re.compile(r"(^|/)encoder(_\d+)?/")  # the layer's name in the U-Net
# The U-Net's, where it sees the picture at another size (components.trainer.as_served).
VIEW_NAME = "view_{}x{}"
_VIEW = re.compile(r"(^|/)view_\d+x\d+(_\d+)?/")

# Inputs of a calling node that are none of the called function's.
_BEFORE_ARGUMENTS = {"If": 1, "StatelessIf": 1, "Case": 1, "StatelessCase": 1}


@dataclasses.dataclass(frozen=True)
class Network:
    """A network with its weights, in single precision.

    Attributes:
      graph: its nodes; weights are constants.
      image: the tensor that takes float32 [n, height, width, channels] in [0, 1].
      logits: the tensor that gives float32 [n, height, width, classes].
    """

    graph: graph_pb2.GraphDef
    image: str
    logits: str

    def __call__(self, images: tf.Tensor) -> tf.Tensor:
        """Logits, in the graph that is being built."""
        (logits,) = self._tensors(images, self.logits)
        return logits

    def with_features(self, images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Logits, and what the encoder ends with: float32 [n, channels], the mean over the places.

        Raises:
          ValueError: the network has no encoder of the U-Net's name.
        """
        logits, features = self._tensors(images, self.logits, encoder_output(self))
        return logits, tf.reduce_mean(features, [1, 2])

    def _tensors(self, images: tf.Tensor, *names: str) -> list[tf.Tensor]:
        return tf.graph_util.import_graph_def(
            self.graph, input_map={self.image: images}, return_elements=list(names), name=""
        )


@dataclasses.dataclass(frozen=True)
class _Call:
    """A node that calls a function, and the function that it stands in; None: the top graph."""

    node: node_def_pb2.NodeDef
    within: function_pb2.FunctionDef | None


def encoder_output(network: Network) -> str:
    """The coarsest of what the encoder hands on to the decoder; its name in the graph.

    Of several views it is that of the picture's own size, else of the smallest; of picture and
    mirror image either, but the same one always.

    Raises:
      ValueError: there is no encoder of the U-Net's name.
    """
    graph = tf.Graph()
    with graph.as_default():
        tf.graph_util.import_graph_def(network.graph, name="")
    handed_on = [
        tensor
        for operation in graph.get_operations()
        if _ENCODER.search(operation.name)
        for tensor in operation.outputs
        if tensor.shape.rank == 4
        and tensor.shape[0] is None
        and any(not _ENCODER.search(reader.name) for reader in tensor.consumers())
    ]
    if not handed_on:
        raise ValueError("the network has no encoder of its own name")

    def rank(tensor: tf.Tensor) -> tuple[bool, int]:
        return bool(_VIEW.search(tensor.name)), tensor.shape[1] * tensor.shape[2]

    return min(handed_on, key=rank).name


def take_network(model: tf.Module, image_size: tuple[int, int], channels: int = 3) -> Network:
    """Finds the network in a model's graph.

    What is exported is so what is served, whatever code has trained it.

    Args:
      model: a SavedModel of segline, loaded.
      image_size: height and width that its network sees.
      channels: of a picture.

    Raises:
      ValueError: there is no such network in it, or more than one.
    """
    serve = model.signatures[schema.SERVING_SIGNATURE]
    top = serve.graph.as_graph_def()
    sites = _call_sites(top)
    found = [one for one in top.library.function if _is_network(one, (*image_size, channels))]
    # Only the innermost computes.
    callers = {
        call.within.signature.name
        for one in found
        for call in sites[one.signature.name]
        if call.within
    }
    inner = [one for one in found if one.signature.name not in callers]
    if len(inner) != 1:
        raise ValueError(
            f"{len(inner)} networks in the model take pictures of {image_size[1]}x{image_size[0]}; "
            "it must be one"
        )
    (network,) = inner
    names = [tensor.op.name for tensor in serve.graph.internal_captures]
    variables = dict(zip(names, serve.captured_inputs, strict=True))
    weights = {
        argument.name: variables[_origin(network.signature.name, index, sites)]
        for index, argument in enumerate(network.signature.input_arg)
        if argument.type == types_pb2.DT_RESOURCE
    }
    return _as_graph(network, weights)


def _is_network(function: function_pb2.FunctionDef, shape: tuple[int, int, int]) -> bool:
    """Whether it is a function of a batch of pictures and of weights, and gives one tensor."""
    arguments, results = function.signature.input_arg, function.signature.output_arg
    if len(results) != 1 or not arguments or arguments[0].type != types_pb2.DT_FLOAT:
        return False
    if any(one.type != types_pb2.DT_RESOURCE for one in arguments[1:]):
        return False
    shapes = function.arg_attr[0].attr["_output_shapes"].list.shape
    sizes = [tuple(dimension.size for dimension in shape.dim) for shape in shapes]
    return sizes == [(-1, *shape)]


def _call_sites(graph: graph_pb2.GraphDef) -> dict[str, list[_Call]]:
    """Function's name -> where it is called."""
    sites: dict[str, list[_Call]] = {}
    for node in graph.node:
        for name in _called(node):
            sites.setdefault(name, []).append(_Call(node, None))
    for function in graph.library.function:
        for node in function.node_def:
            for name in _called(node):
                sites.setdefault(name, []).append(_Call(node, function))
    return sites


def _called(node: node_def_pb2.NodeDef) -> set[str]:
    """Names of the functions that a node calls."""
    names = {value.func.name for value in node.attr.values() if value.HasField("func")}
    for value in node.attr.values():
        names |= {function.name for function in value.list.func}
    return names


def _origin(name: str, index: int, sites: Mapping[str, Sequence[_Call]]) -> str:
    """The node of the top graph that a function's argument is handed down from."""
    for call in sites.get(name, ()):
        passed = _passed(call.node, index)
        if call.within is None:
            return passed
        arguments = [one.name for one in call.within.signature.input_arg]
        if passed in arguments:
            return _origin(call.within.signature.name, arguments.index(passed), sites)
    raise ValueError(f"argument {index} of {name} is handed down from nowhere")


def _passed(node: node_def_pb2.NodeDef, index: int) -> str:
    return node.input[index + _BEFORE_ARGUMENTS.get(node.op, 0)].partition(":")[0]


def _as_graph(function: function_pb2.FunctionDef, weights: Mapping[str, tf.Tensor]) -> Network:
    """The function's nodes, its weights put in as constants."""
    flat, names = function_def_to_graph_def(function)
    graph = graph_pb2.GraphDef(versions=flat.versions, library=flat.library)
    constants: dict[str, str] = {}  # a layer that is called again reads its weights again
    for node in flat.node:
        source = node.input[0].partition(":")[0] if node.input else ""
        if node.name in weights:
            continue
        kept = graph.node.add()
        if node.op == "ReadVariableOp" and source in constants:
            kept.name, kept.op = node.name, "Identity"
            kept.input.append(constants[source])
            kept.attr["T"].type = node.attr["dtype"].type
        elif node.op == "ReadVariableOp" and source in weights:
            constants[source] = node.name
            dtype = tf.as_dtype(node.attr["dtype"].type)
            value = tf.raw_ops.ReadVariableOp(resource=weights[source], dtype=dtype)
            kept.name, kept.op = node.name, "Const"
            kept.attr["dtype"].type = node.attr["dtype"].type
            kept.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(value.numpy()))
        else:
            kept.CopyFrom(node)
            if source in weights:
                raise ValueError(f"{node.op} ({node.name}) uses a weight otherwise than by value")
        _to_single_precision(kept)
    result = function.signature.output_arg[0].name
    return Network(graph, f"{function.signature.input_arg[0].name}:0", names[function.ret[result]])


def _to_single_precision(node: node_def_pb2.NodeDef) -> None:
    for attribute in node.attr.values():
        if attribute.type in _HALF:
            attribute.type = types_pb2.DT_FLOAT
        if attribute.HasField("tensor") and attribute.tensor.dtype in _HALF:
            value = tf.make_ndarray(attribute.tensor).astype("float32")
            attribute.tensor.CopyFrom(tf.make_tensor_proto(value))
        for index, kind in enumerate(attribute.list.type):
            if kind in _HALF:
                attribute.list.type[index] = types_pb2.DT_FLOAT
