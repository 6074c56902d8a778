/** ApiVersions: exactly what is served, and the features that are true of this broker. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { handlers } from '../../../broker/handlers.ts'
import { type ApiName, apis } from '../../../protocol/apis.ts'
import { errorName } from '../../../protocol/errors.ts'
import { goldenText, withoutGolden } from '../../wire/golden.ts'
import { versionsOf } from '../harness.ts'
import { type FakeClient, startHost } from '../host.ts'

async function withClient(run: (client: FakeClient) => Promise<void>): Promise<void> {
  const host = await startHost()
  try {
    await run(host.connect())
  } finally {
    await host.stop()
  }
}

const named = { clientSoftwareName: 'a-client', clientSoftwareVersion: '1.0' }
const ask = (client: FakeClient, version: number) =>
  client.call('ApiVersions', version, version < 3 ? {} : named)

for (const version of versionsOf('ApiVersions')) {
  test(`version ${version} lists each handler's API once, by key, with its range`, () =>
    withClient(async client => {
      const { errorCode, apiKeys } = await ask(client, version)
      assert.equal(errorCode, 0)
      const expected = (Object.keys(handlers) as ApiName[])
        .map(name => apis[name])
        .map(({ key, advertised }) => ({
          apiKey: key as number,
          minVersion: advertised[0],
          maxVersion: advertised[1],
        }))
        .sort((a, b) => a.apiKey - b.apiKey)
      assert.deepEqual(
        apiKeys.map(({ apiKey, minVersion, maxVersion }) => ({ apiKey, minVersion, maxVersion })),
        expected,
      )
    }))
}

test('the ranges are those that Kafka advertises', { skip: withoutGolden }, () =>
  withClient(async client => {
    const kafka = new Map(
      goldenText('api-versions.tsv')
        .split('\n')
        .map(line => line.split('\t'))
        .filter(([key]) => /^\d+$/.test(key ?? ''))
        .map(([key, , lowest, highest]) => [Number(key), `${lowest} to ${highest}`]),
    )
    for (const { apiKey, minVersion, maxVersion } of (await ask(client, 3)).apiKeys) {
      assert.equal(`${minVersion} to ${maxVersion}`, kafka.get(apiKey), `API ${apiKey}`)
    }
  }),
)

test('features come with an epoch that clients take seriously, and none that would promise too much', () =>
  withClient(async client => {
    for (const version of [3, 4]) {
      const answer = await ask(client, version)
      assert.ok(answer.finalizedFeaturesEpoch >= 0)
      assert.deepEqual(
        answer.finalizedFeatures.map(({ name }) => name),
        ['metadata.version', 'group.version'],
      )
      const supported = answer.supportedFeatures.map(({ name }) => name)
      const all = ['metadata.version', 'kraft.version', 'group.version']
      assert.deepEqual(supported, version < 4 ? all.slice(0, 1) : all)
    }
  }))

for (const [name, version, isValid] of [
  ['a', '1', true],
  ['a.b-c', '1.0-beta', true],
  ['', '1', false],
  ['a', '', false],
  ['a b', '1', false],
  ['-a', '1', false],
  ['a-', '1', false],
  ['ü', '1', false],
] as const) {
  test(`a client that calls itself '${name}' '${version}' is ${isValid ? 'answered' : 'refused'}`, () =>
    withClient(async client => {
      const request = { clientSoftwareName: name, clientSoftwareVersion: version }
      const { errorCode, apiKeys } = await client.call('ApiVersions', 3, request)
      assert.equal(errorName(errorCode), isValid ? 'NONE' : 'INVALID_REQUEST')
      assert.equal(apiKeys.length > 0, isValid)
    }))
}
