/**
 * ApiVersions: the versions served, from the table of handlers, and the features.
 *
 * A version that we do not know is answered in version 0 with UNSUPPORTED_VERSION and the list all the same
 * (connection.ts), so that the client can step down. Features tell Java clients which newer behaviour the cluster as a
 * whole has switched on: an epoch below 0 makes them ignore the list.
 */
import { errorCode } from '../../protocol/errors.ts'
import type { Handler, ServedApi } from '../context.ts'

/** Level 30 is 4.3-IV0, level 7 is 3.3-IV3: Kafka 4.3.1's range. */
const METADATA_VERSION = { name: 'metadata.version', minVersion: 7, maxVersion: 30 }
/** Level 1: consumer groups of KIP-848. */
const GROUP_VERSION = { name: 'group.version', minVersion: 0, maxVersion: 1 }
const KRAFT_VERSION = { name: 'kraft.version', minVersion: 0, maxVersion: 0 }

const SOFTWARE_NAME = /^[a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?$/

export const apiVersions: Handler<'ApiVersions'> = (_broker, request, context) => {
  const isNamed =
    context.apiVersion < 3 ||
    (SOFTWARE_NAME.test(request.clientSoftwareName) &&
      SOFTWARE_NAME.test(request.clientSoftwareVersion))
  if (!isNamed) {
    context.countError('INVALID_REQUEST')
    return { errorCode: errorCode('INVALID_REQUEST'), apiKeys: [] }
  }
  return {
    errorCode: 0,
    apiKeys: context.served,
    // Before version 4 a client cannot read a feature whose lowest version is 0 (KIP-1023).
    supportedFeatures:
      context.apiVersion >= 4
        ? [METADATA_VERSION, KRAFT_VERSION, GROUP_VERSION]
        : [METADATA_VERSION],
    finalizedFeaturesEpoch: 0,
    // A feature at level 0 is not listed: absent means 0.
    finalizedFeatures: [
      { name: METADATA_VERSION.name, maxVersionLevel: 30, minVersionLevel: 30 },
      { name: GROUP_VERSION.name, maxVersionLevel: 1, minVersionLevel: 1 },
    ],
  }
}

/** The answer to a version of ApiVersions that we do not know; always sent as version 0. */
export const unsupportedApiVersions = (served: readonly ServedApi[]) => ({
  errorCode: errorCode('UNSUPPORTED_VERSION'),
  apiKeys: served,
})
