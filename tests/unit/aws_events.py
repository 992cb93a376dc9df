"""Events that AWS shows or sent: the samples of its pages, the specification's reference, and recorded ones."""

from __future__ import annotations

#: https://docs.aws.amazon.com/lambda/latest/dg/with-msk.html. The key is no output of any base64 encoder: of its last
#: digit, `4`, only two bits are used, and the other four are not zero. Written by an encoder it ends in `3w==`.
SAMPLE_MSK = """{
   "eventSource":"aws:kafka",
   "eventSourceArn":"arn:aws:kafka:us-east-1:123456789012:cluster/vpc-2priv-2pub/751d2973-a626-431c-9d4e-d7975eb44dd7-2",
   "bootstrapServers":"b-2.demo-cluster-1.a1bcde.c1.kafka.us-east-1.amazonaws.com:9092,b-1.demo-cluster-1.a1bcde.c1.kafka.us-east-1.amazonaws.com:9092",
   "records":{
      "mytopic-0":[
         {
            "topic":"mytopic",
            "partition":0,
            "offset":15,
            "timestamp":1545084650987,
            "timestampType":"CREATE_TIME",
            "key":"abcDEFghiJKLmnoPQRstuVWXyz1234==",
            "value":"SGVsbG8sIHRoaXMgaXMgYSB0ZXN0Lg==",
            "headers":[
               {
                  "headerKey":[
                     104, 101, 97, 100, 101, 114, 86, 97, 108, 117, 101
                  ]
               }
            ]
         }
      ]
   }
}"""

#: https://docs.aws.amazon.com/lambda/latest/dg/with-kafka.html
SAMPLE_SELF_MANAGED = """{
   "eventSource": "SelfManagedKafka",
   "bootstrapServers":"b-2.demo-cluster-1.a1bcde.c1.kafka.us-east-1.amazonaws.com:9092,b-1.demo-cluster-1.a1bcde.c1.kafka.us-east-1.amazonaws.com:9092",
   "records":{
      "mytopic-0":[
         {
            "topic":"mytopic",
            "partition":0,
            "offset":15,
            "timestamp":1545084650987,
            "timestampType":"CREATE_TIME",
            "key":"abcDEFghiJKLmnoPQRstuVWXyz1234==",
            "value":"SGVsbG8sIHRoaXMgaXMgYSB0ZXN0Lg==",
            "headers":[
               {
                  "headerKey":[
                     104, 101, 97, 100, 101, 114, 86, 97, 108, 117, 101
                  ]
               }
            ]
         }
      ]
   }
}"""

#: spec 1.6
REFERENCE = """{"eventSource":"aws:kafka",
 "eventSourceArn":"arn:aws:kafka:us-east-1:123456789012:cluster/demo/751d2973-a626-431c-9d4e-d7975eb44dd7-2",
 "bootstrapServers":"b-2.demo:9092,b-1.demo:9092",
 "records":{"mytopic-0":[
   {"topic":"mytopic","partition":0,"offset":15,"timestamp":1545084650987,"timestampType":"CREATE_TIME",
    "key":"cmVjb3JkS2V5","value":"eyJrIjoidiJ9","headers":[{"headerKey":[104,-61,-85]}]}]}}"""
