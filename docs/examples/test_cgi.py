# test_cgi.py PROGRAM: real requests to the web server of cgi.c
#
# SPDX-FileCopyrightText: The gspawnfork developers
# SPDX-License-Identifier: LGPL-2.1-or-later

import concurrent.futures
import http.client
import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest
import urllib.parse

import tap

PROGRAM = sys.argv.pop(1)
EXAMPLES = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'cgi-bin')

SCRIPTS = {
    'slow': 'sleep 1000 & echo $! > "$PIDS"; sleep 1000',
    'leaves-one-behind': 'sleep 1000 >/dev/null & echo $! > "$PIDS"; printf "A: b\\n\\nleft"',
    'ignores-input': 'exec <&-; printf "Content-Type: text/plain\\n\\nignored"',
    'dies': 'kill -SEGV $$',
    'dies-late': 'printf "Content-Type: text/plain\\n\\npart"; kill -KILL $$',
    'says-nothing': 'exit 0',
    'says-rubbish': 'printf "rubbish\\n\\nbody"',
    'writes-too-much': 'printf "A: b\\n\\n"; exec cat /dev/zero',
    'wants-memory': 'x=$(head -c 300000000 /dev/zero | tr "\\0" x) && printf "A: b\\n\\nhas it"',
    'redirects': 'printf "Location: http://example.org/\\n\\n"',
    'not-found': 'printf "Status: 404 Not here\\nX-Own: header\\n\\nnothing"',
}


class Cgi(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.mkdtemp()
        cls.pids = os.path.join(cls.directory, '.pids')
        for name in os.listdir(EXAMPLES):
            shutil.copy(os.path.join(EXAMPLES, name), cls.directory)
        for name, script in SCRIPTS.items():
            path = os.path.join(cls.directory, name)
            with open(path, 'w', encoding='utf-8') as file:
                file.write(f'#!/bin/sh\nPIDS={cls.pids}\n{script}\n')
            os.chmod(path, 0o755)
        with open(os.path.join(cls.directory, 'not-executable'), 'w', encoding='utf-8') as file:
            file.write('exit 0\n')
        cls.server = subprocess.Popen(
            [PROGRAM, '--time-limit=3', '--body-limit=100000', '--output-limit=1000000',
             '--memory-limit=128', cls.directory], stdout=subprocess.PIPE, text=True)
        cls.address = urllib.parse.urlsplit(cls.server.stdout.readline().strip()).netloc

    @classmethod
    def tearDownClass(cls):
        cls.server.kill()
        cls.server.wait()
        cls.server.stdout.close()
        shutil.rmtree(cls.directory)

    def ask(self, path, method='GET', body=None, headers={}):
        connection = http.client.HTTPConnection(self.address, timeout=60)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer, answer.read()
        finally:
            connection.close()

    def assert_ended(self):
        """The process whose ID a script has written down is gone, or a zombie of somebody."""
        with open(self.pids, encoding='utf-8') as file:
            pid = int(file.read())
        while True:
            try:
                with open(f'/proc/{pid}/stat', encoding='utf-8') as file:
                    if file.read().rpartition(')')[2].split()[0] in 'ZX':
                        return
            except (FileNotFoundError, ProcessLookupError):
                return

    def test_shell(self):
        answer, body = self.ask('/hello.sh/extra/path?a=b', 'POST', 'the body')
        self.assertEqual(answer.status, 200)
        self.assertEqual(answer.getheader('Content-Type'), 'text/plain')
        self.assertEqual(body, b'Hello from the shell, POST /hello.sh/extra/path?a=b.\nthe body')

    def test_perl(self):
        answer, body = self.ask('/hello.pl', 'PUT', b'x' * 70000)
        self.assertEqual((answer.status, body), (201, b'Hello from Perl, PUT of 70000 bytes.\n'))

    def test_python(self):
        _, body = self.ask('/hello.py/info?q=1', 'POST', 'text', {
            'Content-Type': 'text/x', 'X-Own-Header': 'value', 'Proxy': 'evil'})
        said = json.loads(body)
        environment = said['environment']
        for name, value in {
                'GATEWAY_INTERFACE': 'CGI/1.1', 'REQUEST_METHOD': 'POST', 'QUERY_STRING': 'q=1',
                'SCRIPT_NAME': '/hello.py', 'PATH_INFO': '/info', 'CONTENT_LENGTH': '4',
                'CONTENT_TYPE': 'text/x', 'SERVER_PROTOCOL': 'HTTP/1.1',
                'REMOTE_ADDR': '127.0.0.1', 'HTTP_X_OWN_HEADER': 'value'}.items():
            self.assertEqual(environment.get(name), value)
        # Nothing of the server's own environment is there.
        self.assertNotIn('HTTP_PROXY', environment)
        self.assertNotIn('HOME', environment)
        self.assertEqual(said['directory'], os.path.realpath(self.directory))
        self.assertEqual(said['body'], 'text')

    def test_head(self):
        answer, body = self.ask('/hello.sh', 'HEAD')
        self.assertEqual((answer.status, body), (200, b''))

    def test_statuses(self):
        answer, body = self.ask('/not-found')
        self.assertEqual((answer.status, answer.getheader('X-Own'), body),
                         (404, 'header', b'nothing'))
        answer, _ = self.ask('/redirects')
        self.assertEqual((answer.status, answer.getheader('Location')),
                         (302, 'http://example.org/'))
        for path, status in (('/', 404), ('/nowhere', 404), ('/.pids', 404),
                             ('/..%2f..%2fbin%2ftrue', 400), ('/not-executable', 500)):
            self.assertEqual(self.ask(path)[0].status, status, path)

    def test_slow(self):
        answer, _ = self.ask('/slow')
        self.assertEqual(answer.status, 504)
        self.assert_ended()

    def test_leaves_nothing_behind(self):
        answer, body = self.ask('/leaves-one-behind')
        self.assertEqual((answer.status, body), (200, b'left'))
        self.assert_ended()

    def test_ignored_input(self):
        answer, body = self.ask('/ignores-input', 'POST', b'x' * 90000)
        self.assertEqual((answer.status, body), (200, b'ignored'))

    def test_programs_that_fail(self):
        for name in 'dies', 'says-nothing', 'says-rubbish', 'writes-too-much':
            self.assertEqual(self.ask(f'/{name}')[0].status, 502, name)
        self.assertEqual(self.ask('/dies-late')[1], b'part')

    def test_memory(self):
        self.assertNotIn(b'has it', self.ask('/wants-memory')[1])

    def test_body_limit(self):
        self.assertEqual(self.ask('/hello.sh', 'POST', b'x' * 100001)[0].status, 413)
        chunks = (b'x' * 1000 for _ in range(101))
        self.assertEqual(self.ask('/hello.sh', 'POST', chunks)[0].status, 413)
        self.assertEqual(self.ask('/hello.sh', 'POST', b'x' * 100000)[0].status, 200)

    def test_many_at_once(self):
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda n: self.ask(f'/hello.sh?{n}')[1], range(200)))
        for n, body in enumerate(answers):
            self.assertIn(f'?{n}.'.encode(), body)
        # Nothing is left open.
        self.assertLess(len(os.listdir(f'/proc/{self.server.pid}/fd')), 60)


if __name__ == '__main__':
    tap.main()
