// SPDX-License-Identifier: Apache-2.0

// What a page does with npm's "grpc-web" against grpc.testing.TestService, and what comes of it.
// The messages are put together by hand: of protobuf only bytes and small numbers are needed.

const varint = (n) => (n < 128 ? [n] : [(n & 127) | 128, ...varint(n >>> 7)]);
const number = (field, n) => [...varint(field << 3), ...varint(n)];
const bytes = (field, data) => [...varint((field << 3) | 2), ...varint(data.length), ...data];
const text = (field, string) => bytes(field, new TextEncoder().encode(string));

const status = (code, message) => bytes(7, [...number(1, code), ...text(2, message)]);
const service = "/grpc.testing.TestService/";

/** The outcome of a call: its messages' sizes, its status and the metadata of both ends. A stream
    says all in events; of a unary call, messages and errors come to its callback only. */
function outcome(start) {
  return new Promise((resolve) => {
    const seen = { sizes: [], code: null, message: null, initial: {}, trailing: {} };
    const failed = ({ code, message }) => resolve(Object.assign(seen, { code, message }));
    const data = (message) => seen.sizes.push(message.length);
    const stream = start((error, message) => (error ? failed(error) : data(message)));
    stream.on("data", data);
    stream.on("metadata", (metadata) => (seen.initial = { ...metadata }));
    stream.on("status", ({ code, details, metadata }) => {
      Object.assign(seen, { code, message: details, trailing: { ...metadata } });
    });
    stream.on("error", failed);
    stream.on("end", () => resolve(seen));
    setTimeout(() => resolve({ ...seen, code: "nothing came" }), 10_000);
  });
}

/** `web` is the module "grpc-web"; `format` its "binary" or "text". */
export async function talk(web, format) {
  const client = new web.GrpcWebClientBase({ format });
  const method = (name, type) =>
    new web.MethodDescriptor(service + name, type, Array, Array,
      (message) => Uint8Array.from(message), (data) => data);
  const unary = (name, message, metadata = {}) =>
    outcome((callback) => client.rpcCall(service + name, message, metadata,
      method(name, web.MethodType.UNARY), callback));
  const streamed = (name, message, metadata = {}) =>
    outcome(() => client.serverStreaming(service + name, message, metadata,
      method(name, web.MethodType.SERVER_STREAMING)));

  const payload = bytes(3, bytes(2, new Uint8Array(271828)));
  const sizes = [31415, 9, 2653, 58979].flatMap((size) => bytes(2, number(1, size)));
  const metadata = {
    "x-grpc-test-echo-initial": "test_initial_metadata_value",
    "x-grpc-test-echo-trailing-bin": "q6ur",
  };
  return {
    empty: await unary("EmptyCall", []),
    large: await unary("UnaryCall", [...number(2, 314159), ...payload]),
    metadata: await unary("UnaryCall", number(2, 5), metadata),
    status: await unary("UnaryCall", status(2, "test status message")),
    special: await unary("UnaryCall", status(2, "\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈\t\n")),
    unimplemented: await unary("UnimplementedCall", []),
    deadline: await streamed("StreamingOutputCall",
      [1, 2].flatMap((size) => bytes(2, [...number(1, size), ...number(2, 400000)])),
      { deadline: String(Date.now() + 600) }),
    stream: await streamed("StreamingOutputCall", sizes),
    pauses: await streamed("StreamingOutputCall",
      [1, 2, 3].flatMap((size) => bytes(2, [...number(1, size), ...number(2, 50000)]))),
  };
}
