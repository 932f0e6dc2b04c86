# SPDX-License-Identifier: Apache-2.0
# frozen_string_literal: true

require_relative "../test_helper"

class Http1Test < Minitest::Test
  Http1 = Sarsen::Http1
  ANSWER = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nX-A:  one  \r\nx-a: two\r\n\r\n".b.freeze

  def head(text)
    Http1.take_head(text.b)
  end

  def read(reader, *pieces)
    buffer = String.new(encoding: Encoding::BINARY)
    text = String.new(encoding: Encoding::BINARY)
    pieces.each do |piece|
      buffer << piece
      loop do
        taken = reader.take(buffer)
        return [text, buffer] if taken == :done
        break if taken == :more

        text << taken
      end
    end
    :more
  end

  def test_a_head_is_taken_whole_and_the_body_stays
    buffer = "#{ANSWER}body".b
    head = Http1.take_head(buffer)
    assert_equal [1, 200], [head.minor, head.status]
    assert_equal %w[one two], head.values("x-a")
    assert_equal "body", buffer
  end

  def test_a_head_cut_at_any_byte_asks_for_more
    (0...ANSWER.bytesize).each { |size| assert_nil head(ANSWER[0, size]), "cut at #{size}" }
  end

  def test_a_status_without_a_reason_is_fine
    assert_equal 204, head("HTTP/1.1 204\r\n\r\n").status
    assert_equal 204, head("HTTP/1.1 204 \r\n\r\n").status
  end

  [
    "HTTP/2 200 OK\r\n\r\n", "HTTP/1.1 20 OK\r\n\r\n", "HTTP/1.1 2000 OK\r\n\r\n", "HTTP/1.1  200 OK\r\n\r\n",
    "SSH-2.0-OpenSSH", "HTTP/1.1 200 OK\r\nno colon\r\n\r\n", "HTTP/1.1 200 OK\r\nA : b\r\n\r\n",
    "HTTP/1.1 200 OK\r\nA: b\r\n folded\r\n\r\n", "HTTP/1.1 200 OK\r\nA: b\0c\r\n\r\n", "HTTP/1.1 200 OK\r\nA: b\rc\r\n\r\n",
    "HTTP/1.1 200 OK\nA: b\r\n\r\n", "HTTP/1.1 200 OK\r\nA: b\nC: d\r\n\r\n", "HTTP/1.1 200 OK\r\n: b\r\n\r\n"
  ].each_with_index do |text, number|
    define_method("test_a_malformed_head_is_refused_#{number}") do
      assert_raises(Sarsen::BadGateway, text.inspect) { head(text) }
    end
  end

  def test_a_head_has_a_limit_in_bytes_and_in_fields
    assert_raises(Sarsen::BadGateway) { head("HTTP/1.1 200 OK\r\nA: #{'a' * Http1::MAX_HEAD}") }
    assert_raises(Sarsen::BadGateway) { head("HTTP/1.1 200 OK\r\n#{"A: b\r\n" * 201}\r\n") }
  end

  def test_who_says_where_the_body_ends
    { "Content-Length: 3" => Http1::Sized, "Transfer-Encoding: chunked" => Http1::Chunked, "X: y" => Http1::UntilClose,
      "Content-Length: 3, 3" => Http1::Sized }.each do |field, kind|
      assert_instance_of kind, Http1.body_reader("GET", head("HTTP/1.1 200 OK\r\n#{field}\r\n\r\n"))
    end
  end

  def test_no_body_after_head_or_statuses_without_one
    [["HEAD", 200], ["GET", 204], ["GET", 304]].each do |method, status|
      reader = Http1.body_reader(method, head("HTTP/1.1 #{status} X\r\nContent-Length: 9\r\n\r\n"))
      assert_equal :done, reader.take(+"rest")
    end
  end

  ["Content-Length: 3\r\nContent-Length: 4", "Content-Length: +3", "Content-Length: -1", "Content-Length: 0x3",
   "Content-Length: 3\r\nTransfer-Encoding: chunked", "Transfer-Encoding: gzip, chunked", "Transfer-Encoding: identity",
   "Content-Length: #{'9' * 19}", "Content-Length: ,", "Content-Length:",
   "Transfer-Encoding: chunked, chunked"].each_with_index do |fields, number|
    define_method("test_an_ambiguous_length_is_refused_#{number}") do
      assert_raises(Sarsen::BadGateway, fields) { Http1.body_reader("GET", head("HTTP/1.1 200 OK\r\n#{fields}\r\n\r\n")) }
    end
  end

  def test_a_chunked_http10_answer_is_refused
    assert_raises(Sarsen::BadGateway) do
      Http1.body_reader("GET", head("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"))
    end
  end

  CHUNKED = "4;x=y\r\nWiki\r\nA\r\n0123456789\r\n0 \r\nExpires: never\r\n\r\nnext"

  def test_chunks_read_the_same_however_they_are_split
    assert_equal %w[Wiki0123456789 next], read(Http1::Chunked.new, CHUNKED)
    assert_equal "Wiki0123456789", read(Http1::Chunked.new, *CHUNKED.chars)[0]
    (1...CHUNKED.size).each do |cut|
      assert_equal "Wiki0123456789", read(Http1::Chunked.new, CHUNKED[0, cut], CHUNKED[cut..])[0], "cut at #{cut}"
    end
  end

  def test_chunks_cut_anywhere_ask_for_more
    whole = CHUNKED.size - "next".size
    (0...whole).each { |size| assert_equal :more, read(Http1::Chunked.new, CHUNKED[0, size]), "cut at #{size}" }
  end

  ["x\r\n", "-1\r\n", "4\nWiki\r\n", "0x4\r\n", "4\r\nWikiX\r\n", "4 4\r\n", "\r\n", "1234567890abcdef\r\n", "4;\0\r\n",
   "0\r\nbad trailer\r\n\r\n", "1;#{'e' * 5000}", "0\r\n#{"A: #{'b' * 4000}\r\n" * 5}\r\n"].each_with_index do |text, number|
    define_method("test_a_malformed_chunk_is_refused_#{number}") do
      assert_raises(Sarsen::BadGateway, text[0, 40].inspect) { read(Http1::Chunked.new, text.b) }
    end
  end

  def test_the_end_of_the_stream_is_an_end_only_without_a_length
    assert_raises(Sarsen::BadGateway) { Http1::Sized.new(3).eof }
    assert_raises(Sarsen::BadGateway) { Http1::Chunked.new.eof }
    reader = Http1::UntilClose.new
    reader.eof
    assert_equal :done, reader.take(+"")
  end
end
