# SPDX-License-Identifier: Apache-2.0

$LOAD_PATH.unshift(File.expand_path("../lib", __dir__))

bind "tcp://#{ENV.fetch('LISTEN', '127.0.0.1:0')}"
threads 8, 8
environment "production"
plugin :registration
