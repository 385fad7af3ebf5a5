// Starts the website, and ends it without cutting off a form that is on its way.

import { makeApp } from './src/app.js';
import { readConfig } from './src/config.js';

// A form is small; who needs longer than this to send it is not filling in a form.
const REQUEST_MS_MAX = 20_000;
const HEADERS_MS_MAX = 10_000;

const config = readConfig(process.env);
const { app, close } = makeApp(config);

const server = app.listen(config.port, config.host, (error) => {
  if (error) throw error;
  const { address, port } = server.address();
  console.log(`listening on http://${address.includes(':') ? `[${address}]` : address}:${port}`);
});
server.requestTimeout = REQUEST_MS_MAX;
server.headersTimeout = HEADERS_MS_MAX;

for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, () => {
    server.close(close);
    server.closeIdleConnections();
  });
}
