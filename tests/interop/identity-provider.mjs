// An identity provider that is not ours (npm's oidc-provider), for the server's tests: KEY and CERTIFICATE are files in
// PEM, for `localhost`. It says its issuer in the first line. Each line that it then reads is a code that somebody
// entered in a browser, and the subject as which they logged in; or `!` and the code, which they refused.

import { generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import { createInterface } from 'node:readline';
import { Provider } from 'oidc-provider';

const [key, cert] = process.argv.slice(2).map((file) => readFileSync(file));
const RESOURCE = 'urn:keyhaven';
const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const server = createServer({ key, cert }).listen(0, '127.0.0.1');
await once(server, 'listening');

const issuer = `https://localhost:${server.address().port}`;
const provider = new Provider(issuer, {
  clients: [{
    client_id: 'keyhaven-cli', application_type: 'native', token_endpoint_auth_method: 'none', redirect_uris: [], response_types: [],
    id_token_signed_response_alg: 'ES256',
    grant_types: ['urn:ietf:params:oauth:grant-type:device_code'],
  }],
  findAccount: (_, accountId) => ({ accountId, claims: () => ({ sub: accountId }) }),
  features: {
    deviceFlow: { enabled: true },
    devInteractions: { enabled: false },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo: () => ({
        scope: 'use', audience: 'keyhaven', accessTokenFormat: 'jwt', accessTokenTTL: 300, jwt: { sign: { alg: 'ES256' } },
      }),
    },
  },
  jwks: { keys: [{ ...privateKey.export({ format: 'jwk' }), kid: 'first', use: 'sig', alg: 'ES256' }] },
});
server.on('request', provider.callback());
console.log(issuer);

for await (const line of createInterface({ input: process.stdin })) {
  const [userCode, accountId] = line.split(' ');
  const refused = userCode === '!';
  const code = await provider.DeviceCode.findByUserCode((refused ? accountId : userCode).replaceAll('-', ''));
  if (refused) {
    Object.assign(code, { error: 'access_denied', errorDescription: 'End-User aborted interaction' });
  } else {
    const { clientId, params } = code;
    const grant = new provider.Grant({ accountId, clientId });
    grant.addOIDCScope(params.scope);
    grant.addResourceScope(RESOURCE, 'use');
    Object.assign(code, { accountId, grantId: await grant.save(), scope: params.scope, resource: params.resource });
  }
  await code.save();
}
process.exit();
