# SPDX-License-Identifier: Apache-2.0
# The warnings that every file obeys and the hardening of what is shipped.
add_library(smqtt_flags INTERFACE)
target_compile_options(smqtt_flags INTERFACE
    -Wall -Wextra -Wconversion -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wswitch-enum -Wundef
    -fno-common -fstack-protector-strong)
# The features of glibc (explicit_bzero, epoll, getopt_long). Empty, so that a file may define it again.
target_compile_definitions(smqtt_flags INTERFACE "_GNU_SOURCE=")

if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|i.86|AMD64)$")
    target_compile_options(smqtt_flags INTERFACE -fcf-protection)
endif()

if(SMQTT_SANITIZE)
    target_compile_options(smqtt_flags INTERFACE -fsanitize=${SMQTT_SANITIZE} -fno-omit-frame-pointer)
    target_link_options(smqtt_flags INTERFACE -fsanitize=${SMQTT_SANITIZE})
    if(SMQTT_SANITIZE MATCHES undefined)
        target_compile_options(smqtt_flags INTERFACE -fno-sanitize-recover=undefined)
    endif()
else()
    # _FORTIFY_SOURCE needs optimisation and does not go together with sanitizers.
    target_compile_options(smqtt_flags INTERFACE "$<$<CONFIG:Release>:-U_FORTIFY_SOURCE;-D_FORTIFY_SOURCE=2>")
endif()
target_link_options(smqtt_flags INTERFACE LINKER:-z,relro,-z,now,-z,noexecstack)
