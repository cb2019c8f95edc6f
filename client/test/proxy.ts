import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse, request as send } from "node:http";
import type { AddressInfo } from "node:net";
import { buffer } from "node:stream/consumers";

/** The fault of one request: it or its answer is lost, half of the answer arrives, or another server answers. */
export type Fault =
  | "request lost"
  | "answer lost"
  | "answer cut"
  | { server: string }
  | ((answer: ServerResponse) => void);

export interface Exchange {
  method: string;
  path: string;
  headers: IncomingMessage["headers"];
  /** The time when the request arrived, and when it ended, in milliseconds. */
  began: number;
  ended: number;
}

/** A proxy between a client and a server that causes faults and records the requests. */
export interface FaultyProxy {
  /** Its address, with the prefix. */
  readonly url: string;
  /** The faults of the next requests, in order. Later requests pass. */
  readonly faults: Fault[];
  readonly exchanges: Exchange[];
  stop(): Promise<void>;
}

/** With a prefix, such as `/todo`, it serves only paths below it, and strips it, like a gateway at a sub-path. */
export async function startProxy(server: string, prefix = ""): Promise<FaultyProxy> {
  const faults: Fault[] = [];
  const exchanges: Exchange[] = [];

  const proxy = createServer(async (request, answer) => {
    const { method = "", url: path = "", headers } = request;
    const exchange: Exchange = { method, path, headers, began: performance.now(), ended: NaN };
    exchanges.push(exchange);
    answer.once("close", () => (exchange.ended = performance.now()));
    const body = await buffer(request);
    if (!path.startsWith(`${prefix}/`)) return answer.writeHead(404).end();
    const fault = faults.shift();
    if (fault === "request lost") return request.socket.destroy();
    if (typeof fault === "function") return fault(answer);

    const target = typeof fault === "object" ? fault.server : server;
    const forwarded = send(new URL(path.slice(prefix.length), target), { method, headers, agent: false }).end(body);
    const [reply] = (await once(forwarded, "response")) as [IncomingMessage];
    const content = await buffer(reply);
    if (fault === "answer lost") return request.socket.destroy();
    answer.writeHead(reply.statusCode ?? 0, reply.headers);
    if (fault !== "answer cut") return answer.end(content);
    return answer.write(content.subarray(0, content.length / 2), () => request.socket.destroy());
  });

  proxy.listen(0, "127.0.0.1");
  await once(proxy, "listening");
  return {
    url: `http://127.0.0.1:${(proxy.address() as AddressInfo).port}${prefix}`,
    faults,
    exchanges,
    async stop() {
      proxy.closeAllConnections();
      proxy.close();
      await once(proxy, "close");
    },
  };
}
