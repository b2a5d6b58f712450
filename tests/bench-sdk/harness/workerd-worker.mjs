// The worker that takes one cold start. All times are the front's.
import { coldStart } from "../suites/cold.mjs";
import { connection, opening } from "../subjects/connection.mjs";

export default {
  async fetch(request) {
    const stage = JSON.parse(request.headers.get("stage"));
    const message = new Uint8Array(await request.arrayBuffer());
    const clock = async () => Number(await (await fetch(`${stage.origin}/now`)).text());
    return Response.json(await coldStart({
      load: () => import("dist/sdk.js"),
      clock,
      connection: connection(stage),
      message,
      options: opening,
    }));
  },
};
