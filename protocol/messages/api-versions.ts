/**
 * ApiVersions: what a broker serves; the first request of nearly every client.
 *
 *   v1  throttleTimeMs
 *   v3  flexible; client software name and version (KIP-511); features (KIP-584)
 *   v4  a supported feature's lowest version may be 0 (KAFKA-17011)
 *
 * The response header is version 0 in every version, so that a client can read the answer to a version that the broker
 * does not know (see frame.ts).
 */
import {
  api,
  array,
  bool,
  ignorable,
  int16,
  int32,
  int64,
  since,
  string,
  struct,
  tagged,
} from '../schema.ts'

export const ApiVersions = api({
  key: 18,
  name: 'ApiVersions',
  versions: [0, 4],
  flexible: 3,
  request: struct({
    clientSoftwareName: ignorable(since(3, string)),
    clientSoftwareVersion: ignorable(since(3, string)),
  }),
  response: struct({
    errorCode: int16,
    apiKeys: array(struct({ apiKey: int16, minVersion: int16, maxVersion: int16 })),
    throttleTimeMs: ignorable(since(1, int32)),
    supportedFeatures: ignorable(
      tagged(0, 3, array(struct({ name: string, minVersion: int16, maxVersion: int16 }))),
    ),
    finalizedFeaturesEpoch: ignorable(tagged(1, 3, int64, -1)),
    finalizedFeatures: ignorable(
      tagged(2, 3, array(struct({ name: string, maxVersionLevel: int16, minVersionLevel: int16 }))),
    ),
    zkMigrationReady: ignorable(tagged(3, 3, bool)),
  }),
})
