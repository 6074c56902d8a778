/**
 * DeleteTopics: by name, or by id.
 *
 *   v3  TOPIC_DELETION_DISABLED may be answered
 *   v4  flexible
 *   v5  errorMessage; THROTTLING_QUOTA_EXCEEDED may be answered (KIP-599)
 *   v6  a list of names or ids in place of the list of names (KIP-516)
 */
import {
  api,
  array,
  ignorable,
  int16,
  int32,
  nullableSince,
  nullableString,
  optional,
  since,
  string,
  struct,
  until,
  uuid,
} from '../schema.ts'

export const DeleteTopics = api({
  key: 20,
  name: 'DeleteTopics',
  versions: [1, 6],
  flexible: 4,
  request: struct({
    topics: since(
      6,
      array(struct({ name: optional(nullableString, null), topicId: optional(uuid) })),
    ),
    topicNames: ignorable(until(5, array(string))),
    timeoutMs: int32,
  }),
  response: struct({
    throttleTimeMs: optional(int32),
    responses: array(
      struct({
        name: nullableSince(6, string, nullableString),
        topicId: ignorable(since(6, uuid)),
        errorCode: int16,
        errorMessage: ignorable(since(5, nullableString, null)),
      }),
    ),
  }),
})
