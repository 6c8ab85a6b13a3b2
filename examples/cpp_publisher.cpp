/* SPDX-License-Identifier: Apache-2.0 */
/* From C++17: seals one message for a server and waits until the server has confirmed it.
 *
 *     cpp_publisher HOST PORT SERVER.pub TOPIC TEXT
 */
#include <cstdlib>
#include <iostream>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <smqtt/posix.h>

namespace {

/** Owns what the library has made: unique_ptr with the library's own end. */
template <auto end> struct Deleter {
    template <typename T> void operator()(T *p) const { end(p); }
};
using Identity = std::unique_ptr<smqtt_identity, Deleter<smqtt_identity_free>>;
using Sealer = std::unique_ptr<smqtt_sealer, Deleter<smqtt_sealer_free>>;
using Client = std::unique_ptr<smqtt_client, Deleter<smqtt_client_free>>;

void must(const std::string &what, smqtt_err err)
{
    if (err != SMQTT_OK) {
        throw std::runtime_error(what + ": " + smqtt_strerror(err));
    }
}

smqtt_span span(std::string_view text)
{
    return {reinterpret_cast<const uint8_t *>(text.data()), text.size()};
}

class Socket {
  public:
    Socket(const char *host, const char *port)
    {
        addrinfo hints{};
        hints.ai_socktype = SOCK_STREAM;
        addrinfo *list = nullptr;
        if (getaddrinfo(host, port, &hints, &list) == 0) {
            fd_ = socket(list->ai_family, list->ai_socktype, list->ai_protocol);
            connected_ = fd_ >= 0 && connect(fd_, list->ai_addr, list->ai_addrlen) == 0;
            freeaddrinfo(list);
        }
        if (!connected_) {
            release();
            throw std::runtime_error(std::string(host) + ": no broker answers");
        }
    }
    Socket(const Socket &) = delete;
    Socket &operator=(const Socket &) = delete;
    ~Socket() { release(); }

    /** Sends what the client has to say; waits for bytes or its deadline; false when the connection is over. */
    bool turn(smqtt_client *c)
    {
        for (smqtt_span out = smqtt_client_output(c); out.len != 0; out = smqtt_client_output(c)) {
            const ssize_t n = send(fd_, out.data, out.len, MSG_NOSIGNAL);
            if (n <= 0) {
                return false;
            }
            smqtt_client_sent(c, static_cast<size_t>(n), smqtt_posix_now());
        }
        pollfd p{fd_, POLLIN, 0};
        if (poll(&p, 1, 100) > 0) {
            uint8_t bytes[4096];
            const ssize_t n = recv(fd_, bytes, sizeof(bytes), 0);
            if (n <= 0) {
                return false;
            }
            smqtt_client_feed(c, {bytes, static_cast<size_t>(n)}, smqtt_posix_now());
        }
        smqtt_client_tick(c, smqtt_posix_now());
        return !smqtt_client_wants_close(c);
    }

  private:
    void release()
    {
        if (fd_ >= 0) {
            close(fd_);
        }
    }
    int fd_ = -1;
    bool connected_ = false;
};

Client make_client(const char *server_file)
{
    smqtt_identity *server = nullptr;
    must(server_file, smqtt_posix_read_identity(nullptr, server_file, &server));
    const Identity keep(server); /* the sealer takes a reference of its own */

    smqtt_sealer_config seal{};
    seal.struct_size = sizeof(seal);
    seal.rng = smqtt_system_rng();
    seal.server = server;
    seal.client_id = span("cpp-publisher");
    smqtt_sealer *made = nullptr;
    must("sealer", smqtt_sealer_new(&seal, smqtt_posix_now(), &made));
    Sealer sealer(made);

    smqtt_client_config config{};
    config.struct_size = sizeof(config);
    config.client_id = seal.client_id;
    config.clean_start = true;
    config.keep_alive_s = 60;
    smqtt_client *c = nullptr;
    must("client", smqtt_client_new(&config, &c));
    Client client(c);
    must("sealer", smqtt_client_attach_sealer(c, sealer.get()));
    static_cast<void>(sealer.release()); /* the client's now */
    return client;
}

/** The exit code, once the event tells it. */
std::optional<int> outcome(const smqtt_client_event &event)
{
    const smqtt_secure_event &secure = event.secure;
    if (event.type == SMQTT_CLIENT_REFUSED || event.type == SMQTT_CLIENT_CLOSED) {
        throw std::runtime_error(std::string("connection: ") + smqtt_strerror(event.err));
    }
    if (event.type != SMQTT_CLIENT_SECURE) {
        return std::nullopt;
    }
    if (secure.type == SMQTT_EV_CLOSED) {
        throw std::runtime_error(std::string("nothing was published: ") +
                                 (secure.status != 0 ? smqtt_status_text(secure.status) : smqtt_strerror(secure.err)));
    }
    if (secure.type == SMQTT_EV_RECEIPT) {
        std::cout << smqtt_status_text(secure.status) << '\n';
        return secure.status == SMQTT_STATUS_OK && secure.flag == 1 ? EXIT_SUCCESS : EXIT_FAILURE;
    }
    return std::nullopt;
}

int publish(char **argv)
{
    const Client client = make_client(argv[3]);
    smqtt_publish_options options{};
    options.qos = 1;
    options.text = true;
    options.receipt = true;
    must(argv[4], smqtt_client_publish_sealed(client.get(), span(argv[4]), span(argv[5]), &options, nullptr,
                                              smqtt_posix_now()));
    Socket wire(argv[1], argv[2]);
    must("connect", smqtt_client_connect(client.get(), smqtt_posix_now()));
    while (true) {
        if (!wire.turn(client.get())) {
            smqtt_client_lost(client.get(), SMQTT_E_IO, smqtt_posix_now());
        }
        smqtt_client_event event{};
        while (smqtt_client_next(client.get(), &event)) {
            if (const auto code = outcome(event)) {
                return *code;
            }
        }
    }
}

} // namespace

int main(int argc, char **argv)
{
    if (argc != 6) {
        std::cerr << argv[0] << ": HOST PORT SERVER.pub TOPIC TEXT\n";
        return EXIT_FAILURE;
    }
    try {
        return publish(argv);
    } catch (const std::exception &error) {
        std::cerr << error.what() << '\n';
        return EXIT_FAILURE;
    }
}
