// A certified OpenID provider, oidc-provider, as the issuer of the tests: it
// issues JWT access tokens (RFC 9068) for resource indicators (RFC 8707) by the
// client_credentials grant. GET /control/<what> makes it do what a test is about.
//
// usage: MEMGATE_NODE=<folder with node_modules> node provider.mjs <host:port>
import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const require = createRequire(process.env.MEMGATE_NODE + '/');
const { Provider } = await import(pathToFileURL(require.resolve('oidc-provider')));

const address = process.argv[2];
const issuer = `http://${address}`;
const algorithms = { ES256: ['ec', { namedCurve: 'P-256' }], RS256: ['rsa', { modulusLength: 2048 }], EdDSA: ['ed25519', {}] };

function keys() {
  return Object.entries(algorithms).map(([alg, [type, options]]) => ({
    ...generateKeyPairSync(type, options).privateKey.export({ format: 'jwk' }), alg, use: 'sig', kid: `${alg}-${randomUUID()}`,
  }));
}

// The scopes of a resource, https://<algorithm>.resource.test, in a token with that algorithm.
function resourceServer(_, resource) {
  return {
    scope: 'memory:read memory:write', audience: 'memory', accessTokenFormat: 'jwt', accessTokenTTL: 3600,
    jwt: { sign: { alg: Object.keys(algorithms).find((alg) => resource.startsWith(`https://${alg.toLowerCase()}.`)) } },
  };
}

const client = (name, more) => ({
  client_id: name, client_secret: `the-secret-of-${name}-in-the-tests`, redirect_uris: [], response_types: [],
  grant_types: ['client_credentials'], token_endpoint_auth_method: 'client_secret_basic', ...more,
});

function provider(signing) {
  const p = new Provider(issuer, {
    jwks: { keys: signing },
    clients: [client('acme'), client('other'), client('certificate', { tls_client_certificate_bound_access_tokens: true })],
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      dPoP: { enabled: true },
      mTLS: { enabled: true, certificateBoundAccessTokens: true, getCertificate: (ctx) => decodeURIComponent(ctx.get('x-test-certificate')) || undefined },
      resourceIndicators: { enabled: true, getResourceServerInfo: resourceServer },
    },
    extraTokenClaims: (_, token) => ({ org_id: token.clientId }),
    enabledJWA: { dPoPSigningAlgValues: ['ES256', 'EdDSA'] },
    ttl: { ClientCredentials: 3600 },
  });
  return p.callback();
}

let current = keys();
let answer = provider(current);
let lie = false;

// What a test can ask for.
const control = {
  add: () => { current = [...keys(), ...current]; }, // new keys sign, the old ones stay published
  withdraw: () => { current = current.slice(0, Object.keys(algorithms).length); }, // the newest alone stay
  lie: () => { lie = true; },
  truth: () => { lie = false; },
};

createServer((request, response) => {
  const what = request.url.match(/^\/control\/(\w+)$/)?.[1];
  if (what in control) {
    control[what]();
    answer = provider(current);
    response.end();
  } else if (lie && request.url.startsWith('/.well-known/openid-configuration')) {
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify({ issuer: `${issuer}/other`, jwks_uri: `${issuer}/jwks` }));
  } else {
    answer(request, response);
  }
}).listen(address.split(':')[1], address.split(':')[0]);

process.on('SIGTERM', () => process.exit(0));
