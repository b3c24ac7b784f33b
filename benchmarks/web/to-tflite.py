"""Makes a TF.js graph model a .tflite in INT8, with float32 input and output, for `npm run bench:web -- --tflite`.

    python3 -m venv build/tensorflow && build/tensorflow/bin/pip install tensorflow-cpu
    npm run bench:web -- --models mobilenet_v2 --folder build/web
    build/tensorflow/bin/python benchmarks/web/to-tflite.py \
        build/web/mobilenet_v2/float/model.json build/web/mobilenet_v2/samples.bin build/web/mobilenet_v2.tflite
"""

import json
import os
import sys

import numpy as np
import tensorflow as tf
from google.protobuf import json_format


def read_weights(path, manifest):
    weights = {}
    for group in manifest:
        shards = [open(os.path.join(os.path.dirname(path), name), "rb").read() for name in group["paths"]]
        content, at = b"".join(shards), 0
        for weight in group["weights"]:
            if "quantization" in weight:
                raise ValueError(f"{weight['name']} is quantized")
            dtype = np.dtype(weight["dtype"])
            count = int(np.prod(weight["shape"], dtype=np.int64))
            values = np.frombuffer(content, dtype, count, at)
            weights[weight["name"]] = values.reshape(weight["shape"])
            at += count * dtype.itemsize
    return weights


PLAIN = {
    "_FusedConv2D": "Conv2D",
    "FusedDepthwiseConv2dNative": "DepthwiseConv2dNative",
    "_FusedMatMul": "MatMul",
}


def unfused(fused_graph):
    """The graph with a node for each fused op, which the converter does not know."""
    graph = tf.compat.v1.GraphDef()
    for node in fused_graph.node:
        if node.op not in PLAIN:
            graph.node.add().CopyFrom(node)
            continue
        steps = [name.decode() for name in node.attr["fused_ops"].list.s]
        names = [f"{node.name}/{step}" for step in ["product", *steps[:-1]]] + [node.name]
        product = graph.node.add(op=PLAIN[node.op], name=names[0], input=node.input[:2])
        for key in ("T", "strides", "padding", "dilations", "data_format", "transpose_a", "transpose_b"):
            if key in node.attr:
                product.attr[key].CopyFrom(node.attr[key])
        for before, name, step in zip(names, names[1:], steps):
            inputs = [before, node.input[2]] if step == "BiasAdd" else [before]
            graph.node.add(op=step, name=name, input=inputs).attr["T"].CopyFrom(node.attr["T"])
    return graph


def main(path, samples, target):
    model = json.load(open(path))
    weights = read_weights(path, model["weightsManifest"])
    topology = dict(model["modelTopology"])
    topology.pop("versions", None)
    graph = json_format.ParseDict(topology, tf.compat.v1.GraphDef(), ignore_unknown_fields=True)
    graph = unfused(graph)
    for node in graph.node:
        if node.op == "Const":
            node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(weights[node.name]))
    signature = model.get("signature") or model["userDefinedMetadata"]["signature"]
    [source] = signature["inputs"].values()
    [result] = signature["outputs"].values()
    [feed] = [node for node in graph.node if node.op == "Placeholder"]
    shape = [1] + [int(dim["size"]) for dim in source["tensorShape"]["dim"]][1:]
    feed.attr["shape"].shape.CopyFrom(tf.TensorShape(shape).as_proto())

    wrapped = tf.compat.v1.wrap_function(
        lambda: tf.compat.v1.import_graph_def(graph, name=""), signature=[]
    )
    function = wrapped.prune([feed.name + ":0"], [result["name"]])
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function])
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    inputs = np.fromfile(samples, np.float32).reshape([-1, *shape])
    converter.representative_dataset = lambda: ([sample] for sample in inputs)
    with open(target, "wb") as file:
        file.write(converter.convert())


main(*sys.argv[1:])
