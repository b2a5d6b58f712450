// Stands in for Workers KV while the function runs on your machine: keeps everything in memory.
const kept = new Map();

export default {
  async fetch(request) {
    const { pathname } = new URL(request.url);
    if (request.method === 'PUT') {
      kept.set(pathname, await request.arrayBuffer());
      return new Response();
    }
    const value = kept.get(pathname);
    return value ? new Response(value) : new Response(null, { status: 404 });
  },
};
