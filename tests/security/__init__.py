"""What an attacker would try, a test each, through the front door.

============================================  ====================================================
attack                                        where it is proven
============================================  ====================================================
forged, stale, stripped, swapped signatures   `test_signatures`; every malformed header and clock
                                              in `unit/test_zoom`, `integration/test_webhook`
replayed deliveries                           `test_signatures`
forged and replayed status webhooks           `test_signatures`, `integration/test_refresh`
timing of the compare                         `test_signatures`
the signing oracle                            `test_signing_oracle`; the rule itself in
                                              `unit/test_zoom`
oversized and endless bodies                  `test_front_door`
slow clients                                  `test_front_door`, `acceptance/test_server`
header injection, request smuggling           `test_front_door`
log injection                                 `test_injection`, and every input of `tests.fuzz`
SQL in ids                                    `test_injection`
path traversal in names                       `test_injection`, `unit/test_filenames`
secrets in logs, rows, answers, commands      `test_secrets`, `unit/test_config`
the API key crossing to another host          `test_api_key`, `unit/test_recall`; the links of
                                              media in `integration/test_downloads`
============================================  ====================================================
"""
