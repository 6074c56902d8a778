/**
 * DescribeConfigs: settings of topics and brokers, where each comes from, and what it means.
 *
 *   v1  configSource instead of isDefault; synonyms on request (KIP-226)
 *   v3  configType; documentation on request (KIP-569)
 *   v4  flexible
 *
 * No keys (null) asks for all settings of the resource.
 */
import {
  api,
  array,
  bool,
  ignorable,
  int8,
  int16,
  int32,
  nullableArray,
  nullableString,
  optional,
  since,
  string,
  struct,
} from '../schema.ts'

export const DescribeConfigs = api({
  key: 32,
  name: 'DescribeConfigs',
  versions: [1, 4],
  flexible: 4,
  request: struct({
    resources: array(
      struct({
        resourceType: int8,
        resourceName: string,
        configurationKeys: nullableArray(string),
      }),
    ),
    includeSynonyms: optional(bool),
    includeDocumentation: since(3, bool),
  }),
  response: struct({
    throttleTimeMs: optional(int32),
    results: array(
      struct({
        errorCode: int16,
        errorMessage: optional(nullableString, null),
        resourceType: int8,
        resourceName: string,
        configs: array(
          struct({
            name: string,
            value: nullableString,
            readOnly: bool,
            configSource: optional(int8, -1),
            isSensitive: bool,
            synonyms: array(struct({ name: string, value: nullableString, source: int8 })),
            configType: ignorable(since(3, int8)),
            documentation: ignorable(since(3, nullableString, null)),
          }),
        ),
      }),
    ),
  }),
})
